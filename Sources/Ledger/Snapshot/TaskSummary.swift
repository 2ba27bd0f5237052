/// A task and its executions, as of a snapshot.
public struct TaskSummary: Hashable, Sendable {
    /// The name that the caller gave it.
    public var name: Name
    /// The state of its last execution.
    public var state: TaskState
    /// Its id: the event that began its first execution.
    public var id: TaskID
    /// The number of its executions; the summary may contain fewer.
    public var executionCount: Int64
    /// Its highest executions, ending with the last one; at most ``executionsMax``.
    public var executions: [ExecutionSummary]

    /// The maximum number of executions in the summary of a task.
    public static let executionsMax = 100

    public init(
        name: Name, state: TaskState, id: TaskID, executionCount: Int64, executions: [ExecutionSummary]
    ) {
        self.name = name
        self.state = state
        self.id = id
        self.executionCount = executionCount
        self.executions = executions
    }

    /// Sets since when the last execution is silent.
    public mutating func markSilence(_ silence: JobSilence) {
        guard state == .running, let last = executions.last, last.outcome == nil else { return }
        executions[executions.count - 1].silentSince = silence.since(last.id, lastAt: last.lastAt)
    }
}
