/// The identity of an execution, for references to it.
public struct ExecutionIdentity: Hashable, Sendable {
    /// Its name; nil if it has none.
    public var execution: Name?
    /// Its attempt.
    public var attempt: Int32
    /// Its id in its job.
    public var id: ExecutionID

    public init(execution: Name?, attempt: Int32, id: ExecutionID) {
        self.execution = execution
        self.attempt = attempt
        self.id = id
    }
}
