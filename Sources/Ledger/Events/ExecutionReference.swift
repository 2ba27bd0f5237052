/// The execution that an event belongs to, as the caller named it.
///
/// The fold decides which execution it refers to (``Fold``).
public struct ExecutionReference: Hashable, Sendable {
    /// The task.
    public var task: Name
    /// The name of the execution, if the caller gave one.
    public var execution: Name?
    /// The attempt, if the caller gave one.
    public var attempt: Int32?

    public init(task: Name, execution: Name? = nil, attempt: Int32? = nil) {
        self.task = task
        self.execution = execution
        self.attempt = attempt
    }
}
