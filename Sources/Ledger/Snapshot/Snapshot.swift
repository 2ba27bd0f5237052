/// The result of folding a job's events 1…n: its indicators and its tasks' states.
public struct Snapshot: Hashable, Sendable {
    /// The last event that the snapshot includes; 0 if there is none.
    public var sequence: Int64
    /// Whether the job is running, or its outcome.
    public var state: JobState
    /// The time when the job was created; nil before its first event.
    public var createdAt: Timestamp?
    /// The time when the first execution began; nil before.
    public var startedAt: Timestamp?
    /// The time when the last event was recorded; nil before the first.
    public var updatedAt: Timestamp?
    /// The time when the job ended; nil while it is running.
    public var finishedAt: Timestamp?
    /// The numbers of tasks and executions.
    public var tasks: TaskCounts
    /// The indicators with counted events, in the order in which they were first named.
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
        /// The label; nil is the default indicator.
        public var label: Name?
        /// The units of the executions that count. Exact at any size.
        public var counted: Units
        /// The units of all executions: the attempted work.
        public var attempted: Units
        /// The time when an event last changed or confirmed the numbers.
        public var updatedAt: Timestamp

        public init(label: Name?, counted: Units, attempted: Units, updatedAt: Timestamp) {
            self.label = label
            self.counted = counted
            self.attempted = attempted
            self.updatedAt = updatedAt
        }

        /// The attempted units that do not count: wasted work.
        public var wasted: Units { attempted - counted }

        /// `done` as a percentage of `total`, rounded down.
        ///
        /// May exceed 100; nil while `total` is 0.
        public var percent: Int128? {
            counted.total == 0 ? nil : counted.done * 100 / counted.total
        }
    }
}
