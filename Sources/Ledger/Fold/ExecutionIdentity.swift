/// One execution, as it is shown where another thing refers to it.
public struct ExecutionIdentity: Hashable, Sendable {
    /// Its name; nil where nobody named it.
    public var execution: Name?
    /// Its attempt.
    public var attempt: Int32
    /// The sequence of its first event, by which the ledger tells it from all others of the job.
    public var sequence: Int64

    public init(execution: Name?, attempt: Int32, sequence: Int64) {
        self.execution = execution
        self.attempt = attempt
        self.sequence = sequence
    }
}
