/// A task and its runs, as of a snapshot.
public struct TaskSummary: Hashable, Sendable {
    /// What its caller calls it.
    public var name: Name
    /// The state that its last execution is in.
    public var state: TaskState
    /// The event that began its first execution.
    public var firstSequence: Int64
    /// How many executions it has; the summary may hold fewer.
    public var executionCount: Int64
    /// Its highest executions, the last one at the end; at most ``executionsMax``.
    public var executions: [ExecutionSummary]

    /// The executions of a task that its summary holds, at most.
    public static let executionsMax = 100

    public init(
        name: Name, state: TaskState, firstSequence: Int64, executionCount: Int64, executions: [ExecutionSummary]
    ) {
        self.name = name
        self.state = state
        self.firstSequence = firstSequence
        self.executionCount = executionCount
        self.executions = executions
    }
}
