/// What a job's events 1…n amount to: its indicators and the state of its tasks, as of sequence n.
public struct Snapshot: Hashable, Sendable {
    /// The last event in it; 0 where there is none.
    public var sequence: Int64
    /// Whether the job runs, or how it ended.
    public var state: JobState
    /// When the job was created; nil before its first event.
    public var createdAt: Timestamp?
    /// When the first execution began; nil before.
    public var startedAt: Timestamp?
    /// When the last event in it was recorded; nil before the first.
    public var updatedAt: Timestamp?
    /// When the job ended; nil while it runs.
    public var finishedAt: Timestamp?
    /// How many tasks and executions there are.
    public var tasks: TaskCounts
    /// The indicators that a counted event names, in the order in which the job first named them.
    public var indicators: [Indicator]

    public init(
        sequence: Int64, state: JobState, createdAt: Timestamp?, startedAt: Timestamp?, updatedAt: Timestamp?,
        finishedAt: Timestamp?, tasks: TaskCounts, indicators: [Indicator]
    ) {
        self.sequence = sequence
        self.state = state
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.updatedAt = updatedAt
        self.finishedAt = finishedAt
        self.tasks = tasks
        self.indicators = indicators
    }

    /// One `done` / `total` pair of a job.
    public struct Indicator: Hashable, Sendable {
        /// Its label; nil is the default indicator.
        public var label: Name?
        /// Units done and units declared, over the executions that count. Exact; any size.
        public var counted: Units
        /// The same over all executions: what was attempted.
        public var attempted: Units
        /// When an event last changed the numbers or confirmed them.
        public var updatedAt: Timestamp

        public init(label: Name?, counted: Units, attempted: Units, updatedAt: Timestamp) {
            self.label = label
            self.counted = counted
            self.attempted = attempted
            self.updatedAt = updatedAt
        }

        /// What was attempted and does not count: work done for nothing.
        public var wasted: Units { attempted - counted }

        /// `done` in hundredths of `total`, rounded down; may exceed 100; nil while `total` is 0.
        public var percent: Int128? {
            counted.total == 0 ? nil : counted.done * 100 / counted.total
        }
    }
}
