/// The result of folding a job's events 1…n: its indicators and its tasks' states.
public struct Snapshot: Hashable, Sendable {
    /// The last event that the snapshot includes; 0 if there is none.
    public var sequence: EventSequence
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
    /// The newest message of an event that counted on arrival; nil if there is none.
    ///
    /// A later supersession does not remove it.
    public var message: Name?
    /// The indicators with counted events, in the order in which they were first named.
    public var indicators: [Indicator]

    public init(
        sequence: EventSequence, state: JobState, createdAt: Timestamp?, startedAt: Timestamp?, updatedAt: Timestamp?,
        finishedAt: Timestamp?, tasks: TaskCounts, message: Name? = nil, indicators: [Indicator]
    ) {
        self.sequence = sequence
        self.state = state
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.updatedAt = updatedAt
        self.finishedAt = finishedAt
        self.tasks = tasks
        self.message = message
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
        /// The units done, of all executions, that earlier ones had done already.
        ///
        /// An execution that resumes from a checkpoint reports them. They are part of `attempted`.
        public var carried: Int128
        /// The time when an event last changed or confirmed the numbers.
        public var updatedAt: Timestamp
        /// The unit, such as `bytes`; nil if no event gave one.
        public var unit: Name?
        /// The newest message of an event that counted on arrival; nil if there is none.
        public var message: Name?

        public init(
            label: Name?, counted: Units, attempted: Units, carried: Int128 = 0, updatedAt: Timestamp,
            unit: Name? = nil, message: Name? = nil
        ) {
            self.label = label
            self.counted = counted
            self.attempted = attempted
            self.carried = carried
            self.updatedAt = updatedAt
            self.unit = unit
            self.message = message
        }

        /// The attempted units that do not count: wasted work.
        ///
        /// Carried units were done only once, although two executions report them.
        public var wasted: Units {
            var wasted = attempted - counted
            wasted.done = max(0, wasted.done - carried)
            return wasted
        }

        /// `done` as a percentage of `total`, rounded down.
        ///
        /// May exceed 100; nil while `total` is 0.
        public var percent: Int128? {
            counted.total == 0 ? nil : counted.done * 100 / counted.total
        }
    }
}
