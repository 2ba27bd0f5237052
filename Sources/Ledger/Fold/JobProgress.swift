/// The fold's state of a job as a whole, without tasks, executions and indicators.
public struct JobProgress: Hashable, Sendable {
    /// The last event that was folded; 0 before the first.
    public var sequence: EventSequence
    /// Whether the job is running, or its outcome.
    public var state: JobState
    /// The time when its first event was recorded.
    public var createdAt: Timestamp?
    /// The time when its first execution began.
    public var startedAt: Timestamp?
    /// The time when its last event was recorded.
    public var updatedAt: Timestamp?
    /// The time when it ended; nil while it is running.
    public var finishedAt: Timestamp?
    /// The number of its tasks by state, and of its executions.
    public var tasks: TaskCounts
    /// The message of its highest event that counted on arrival and has one.
    public var message: Name?

    public init(
        sequence: EventSequence = 0, state: JobState = .running, createdAt: Timestamp? = nil,
        startedAt: Timestamp? = nil,
        updatedAt: Timestamp? = nil, finishedAt: Timestamp? = nil, tasks: TaskCounts = TaskCounts(),
        message: Name? = nil
    ) {
        self.sequence = sequence
        self.state = state
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.updatedAt = updatedAt
        self.finishedAt = finishedAt
        self.tasks = tasks
        self.message = message
    }
}
