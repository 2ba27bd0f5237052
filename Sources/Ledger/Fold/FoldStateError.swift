/// A stored state that cannot be read: it was damaged, or a newer version wrote it. Replay the projection.
public struct FoldStateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong with it.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
