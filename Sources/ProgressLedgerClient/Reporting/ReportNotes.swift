import Ledger

/// The message and the link of a report, as they can be recorded.
struct ReportNotes: Hashable, Sendable {
    private(set) var message: Name?
    private(set) var link: Name?
    /// The reasons of notes that cannot be recorded.
    private(set) var refusals: [ReportRefusal] = []

    /// Creates the notes from the texts of a caller. An empty one counts as absent.
    init(message: String? = nil, link: String? = nil) {
        self.message = message.flatMap(Self.message)
        guard let link, !link.isEmpty else { return }
        let name = Name(link)
        // Without the link in the log: it may contain a password.
        guard Limits.linkLengths.contains(name.utf8Count), name.linkFault == nil else {
            refusals.append(.link)
            return
        }
        self.link = name
    }

    /// The text of a message; nil if it is empty.
    ///
    /// It is cut, with spaces for control characters other than line feeds.
    static func message(_ text: String) -> Name? {
        var message = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(Limits.messageLengths.upperBound) {
            let isControl = scalar.properties.generalCategory == .control && scalar != "\n"
            message.append(isControl ? " " : scalar)
        }
        return message.isEmpty ? nil : Name(String(message))
    }

    /// The unit; nil if it cannot be recorded.
    static func unit(_ text: String) -> Name? {
        let name = Name(text)
        return Limits.unitLengths.contains(name.scalarCount) && !name.containsControl() ? name : nil
    }
}

/// The message of an execution that an error has ended.
enum ErrorMessage {
    /// The longest message of an error, in Unicode scalars.
    static let lengthMax = 200
    /// The length of the text in which credentials are looked for.
    private static let scannedMax = 1_000

    /// Returns the type of the error, and perhaps its text.
    ///
    /// The text is its first line, without credentials in URLs.
    static func text(_ error: any Error, withText: Bool) -> String {
        let name = String(reflecting: type(of: error))
        guard withText else { return cut(name) }
        let line = String(describing: error).drop { $0.isWhitespace }.prefix { !$0.isNewline }
        return cut(line.isEmpty ? name : "\(name): \(withoutCredentials(line))")
    }

    private static func cut(_ text: String) -> String {
        guard text.unicodeScalars.count > lengthMax else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(lengthMax - 1))) + "…"
    }

    /// Removes users, passwords and queries from the URLs in a text.
    static func withoutCredentials(_ text: some StringProtocol) -> String {
        var words = text.prefix(scannedMax).split(separator: " ", omittingEmptySubsequences: false)
            .map { String($0) }
        // The last word may be cut within a password.
        if text.count > scannedMax, let last = words.last, let scheme = last.firstRange(of: "://") {
            words[words.count - 1] = String(last[..<scheme.upperBound])
        }
        return words.map(withoutCredentials(word:)).joined(separator: " ")
    }

    private static func withoutCredentials(word: String) -> String {
        guard let scheme = word.firstRange(of: "://") else { return word }
        var rest = word[scheme.upperBound...]
        // A password may contain any character, also "@".
        if let user = rest.lastIndex(of: "@") { rest = rest[rest.index(after: user)...] }
        guard let query = rest.firstIndex(of: "?") else { return String(word[..<scheme.upperBound] + rest) }
        return String(word[..<scheme.upperBound] + rest[..<query]) + "?…"
    }
}

extension Name {
    fileprivate var utf8Count: Int { text.utf8.count }
}
