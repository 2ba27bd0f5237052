/// How an event names the run that it belongs to. What it means is for the fold to say (``Fold``).
public struct ExecutionReference: Hashable, Sendable {
    /// The task.
    public var task: Name
    /// The name of the execution, where the caller gave one.
    public var execution: Name?
    /// The attempt, where the caller gave one.
    public var attempt: Int32?

    public init(task: Name, execution: Name? = nil, attempt: Int32? = nil) {
        self.task = task
        self.execution = execution
        self.attempt = attempt
    }
}
