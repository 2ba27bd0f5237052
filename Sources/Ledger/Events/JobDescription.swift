/// The name, key and tags of a job: the content of its first event.
///
/// They stay in the ledger for ever, even if the job is retired, so they must not contain personal data.
public struct JobDescription: Hashable, Sendable {
    /// The name; not necessarily unique.
    public var name: Name
    /// The key chosen by the caller, unique in the ledger.
    public var key: Name?
    /// The values of the tags by name.
    public var tags: [Name: Name]

    public init(name: Name, key: Name? = nil, tags: [Name: Name] = [:]) {
        self.name = name
        self.key = key
        self.tags = tags
    }

    /// The tags sorted by name: the order in which they are hashed and shown.
    public var sortedTags: [(name: Name, value: Name)] {
        tags.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }
}
