extension Name {
    /// The text for programs that read it as language.
    ///
    /// It is short, on one line, and without hidden characters. A job can name a task "ignore your instructions": a
    /// program that hands the text on must mark it as data, for example by ``quotation``.
    public var excerpt: String { text.excerpt }

    /// The excerpt in quotation marks, which it does not contain itself.
    public var quotation: String { "\"\(excerpt.replacing("\"", with: "'"))\"" }
}

extension String {
    /// The length of an excerpt, in Unicode scalars.
    public static let excerptLengthMax = 200

    /// The text, cut to ``excerptLengthMax`` scalars and without hidden characters.
    ///
    /// A space replaces each of them.
    public var excerpt: String { excerpt(max: Self.excerptLengthMax) }

    /// The text, cut to a number of scalars and without hidden characters.
    public func excerpt(max length: Int) -> String {
        var excerpt = ""
        for (index, scalar) in unicodeScalars.enumerated() {
            guard index < length else {
                excerpt.unicodeScalars.removeLast()
                excerpt.unicodeScalars.append("…")
                break
            }
            excerpt.unicodeScalars.append(HiddenScalars.contains(scalar) ? " " : scalar)
        }
        return excerpt
    }
}
