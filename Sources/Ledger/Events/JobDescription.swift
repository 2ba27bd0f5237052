/// What a job is called: the content of its first event.
public struct JobDescription: Hashable, Sendable {
    /// The name; need not be unique.
    public var name: Name
    /// The caller's own key, unique in the ledger.
    public var key: Name?
    /// Values by the names of tags.
    public var tags: [Name: Name]

    public init(name: Name, key: Name? = nil, tags: [Name: Name] = [:]) {
        self.name = name
        self.key = key
        self.tags = tags
    }

    /// The tags by name, in the order in which they are hashed and shown.
    public var sortedTags: [(name: Name, value: Name)] {
        tags.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }
}
