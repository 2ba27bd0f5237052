/// A unit of work inside a job, as the fold knows it. (`Task` belongs to Swift.)
public struct JobTask: Hashable, Sendable {
    /// The sequence of the event that began its first execution, by which it is told from the job's others.
    public let sequence: Int64
    /// What its caller calls it.
    public let name: Name
    /// The sequence that tells its last execution: the one that counts.
    public var last: Int64
    /// The state that its last execution is in.
    public var state: TaskState
    /// How many executions it has.
    public var executionCount: Int64

    public init(sequence: Int64, name: Name, last: Int64, state: TaskState, executionCount: Int64) {
        self.sequence = sequence
        self.name = name
        self.last = last
        self.state = state
        self.executionCount = executionCount
    }
}
