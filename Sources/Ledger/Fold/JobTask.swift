/// The fold's state of a task, a unit of work inside a job.
///
/// The name `Task` belongs to Swift.
public struct JobTask: Hashable, Sendable {
    /// The sequence of the event that began its first execution.
    ///
    /// It identifies the task in its job.
    public let sequence: Int64
    /// The name that the caller gave it.
    public let name: Name
    /// The sequence that identifies its last execution, which is the one that counts.
    public var last: Int64
    /// The state of its last execution.
    public var state: TaskState
    /// The number of its executions.
    public var executionCount: Int64

    public init(sequence: Int64, name: Name, last: Int64, state: TaskState, executionCount: Int64) {
        self.sequence = sequence
        self.name = name
        self.last = last
        self.state = state
        self.executionCount = executionCount
    }
}
