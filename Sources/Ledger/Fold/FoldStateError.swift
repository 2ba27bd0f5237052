/// An error for stored fold state that cannot be decoded.
///
/// The state is damaged, or a newer version wrote it. The remedy is a replay of the projection.
public struct FoldStateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
