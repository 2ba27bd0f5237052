/// A task that has begun, for the comparison with earlier jobs.
public struct StartedTask: Hashable, Sendable {
    /// The half of its key.
    let key: UInt32
    /// Whether its last execution succeeded.
    let hasSucceeded: Bool

    public init(_ name: Name, hasSucceeded: Bool) {
        key = NameKey(name).half
        self.hasSucceeded = hasSucceeded
    }
}
