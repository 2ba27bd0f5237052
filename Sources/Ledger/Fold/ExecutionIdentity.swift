/// The identity of an execution, for references to it.
public struct ExecutionIdentity: Hashable, Sendable {
    /// Its name; nil if it has none.
    public var execution: Name?
    /// Its attempt.
    public var attempt: Int32
    /// The sequence of its first event, which identifies it in its job.
    public var sequence: Int64

    public init(execution: Name?, attempt: Int32, sequence: Int64) {
        self.execution = execution
        self.attempt = attempt
        self.sequence = sequence
    }
}
