/// The fold's state of a task, a unit of work inside a job.
///
/// The name `Task` belongs to Swift.
public struct JobTask: Hashable, Sendable {
    /// Its id: the sequence of the event that began its first execution.
    public let id: TaskID
    /// The name that the caller gave it.
    public let name: Name
    /// Its last execution, which is the one that counts.
    public var last: ExecutionID
    /// The state of its last execution.
    public var state: TaskState
    /// The number of its executions.
    public var executionCount: Int64

    public init(id: TaskID, name: Name, last: ExecutionID, state: TaskState, executionCount: Int64) {
        self.id = id
        self.name = name
        self.last = last
        self.state = state
        self.executionCount = executionCount
    }
}
