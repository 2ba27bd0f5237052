/// What a fold knows of a job as a whole; its tasks, executions and indicators are kept apart.
public struct JobProgress: Hashable, Sendable {
    /// The last event folded; 0 before the first.
    public var sequence: Int64
    /// Whether the job runs, or how it ended.
    public var state: JobState
    /// When its first event was recorded.
    public var createdAt: Timestamp?
    /// When its first execution began.
    public var startedAt: Timestamp?
    /// When its last event was recorded.
    public var updatedAt: Timestamp?
    /// When it ended; nil while it runs.
    public var finishedAt: Timestamp?
    /// Its tasks by state, and its executions.
    public var tasks: TaskCounts

    public init(
        sequence: Int64 = 0, state: JobState = .running, createdAt: Timestamp? = nil, startedAt: Timestamp? = nil,
        updatedAt: Timestamp? = nil, finishedAt: Timestamp? = nil, tasks: TaskCounts = TaskCounts()
    ) {
        self.sequence = sequence
        self.state = state
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.updatedAt = updatedAt
        self.finishedAt = finishedAt
        self.tasks = tasks
    }
}
