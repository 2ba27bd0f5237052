extension JobDescription {
    /// The reserved tag that groups jobs with different names for estimates.
    public static let historyTag: Name = "ledger.history"
    /// The value of the tag that leaves a job out.
    private static let noHistory: Name = "none"

    /// The group of jobs that share their history: the name, or the value of the tag.
    ///
    /// Nil for a job that is left out. The prefix separates a name from an equal value of the tag.
    public var history: String? {
        guard let tag = tags[Self.historyTag], !tag.text.isEmpty else { return Self.history(ofName: name) }
        return tag == Self.noHistory ? nil : "tag \(tag.text)"
    }

    /// The group of the jobs with this name and without the tag.
    public static func history(ofName name: Name) -> String { "name \(name.text)" }
}
