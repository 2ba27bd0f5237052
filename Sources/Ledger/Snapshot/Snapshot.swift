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

/// Units declared and units done.
///
/// An increment is below 2^53 and a job has fewer than 2^63 events, so a sum stays below 2^116 and a 128-bit
/// integer holds it exactly: nothing wraps and nothing traps.
public struct Units: Hashable, Sendable {
    /// Units to do.
    public var total: Int128
    /// Units done.
    public var done: Int128

    public init(total: Int128 = 0, done: Int128 = 0) {
        self.total = total
        self.done = done
    }

    /// No units.
    public static let zero = Units()

    public static func + (left: Units, right: Units) -> Units {
        Units(total: left.total + right.total, done: left.done + right.done)
    }

    public static func - (left: Units, right: Units) -> Units {
        Units(total: left.total - right.total, done: left.done - right.done)
    }

    public static func += (left: inout Units, right: Units) {
        left = left + right
    }

    public static func -= (left: inout Units, right: Units) {
        left = left - right
    }
}

/// How many tasks a job has, by the state of their last executions, and how many executions.
public struct TaskCounts: Hashable, Sendable {
    /// Tasks whose last execution has no outcome while the job runs.
    public var running: Int64 = 0
    /// Tasks whose last execution succeeded.
    public var succeeded: Int64 = 0
    /// Tasks whose last execution failed.
    public var failed: Int64 = 0
    /// Tasks whose last execution was canceled.
    public var canceled: Int64 = 0
    /// Tasks whose last execution has no outcome although the job has ended.
    public var abandoned: Int64 = 0
    /// Executions of all tasks.
    public var executions: Int64 = 0

    public init() {}

    /// All tasks.
    public var total: Int64 { running + succeeded + failed + canceled + abandoned }
    /// Executions that are not the last of their task.
    public var supersededExecutions: Int64 { executions - total }

    /// The counts that readers see of a job in this state.
    public func shown(in job: JobState) -> TaskCounts {
        guard job != .running else { return self }
        var counts = self
        counts.abandoned += counts.running
        counts.running = 0
        return counts
    }

    /// How many tasks are in this state.
    public subscript(state: TaskState) -> Int64 {
        get {
            switch state {
            case .running: running
            case .succeeded: succeeded
            case .failed: failed
            case .canceled: canceled
            case .abandoned: abandoned
            }
        }
        set {
            switch state {
            case .running: running = newValue
            case .succeeded: succeeded = newValue
            case .failed: failed = newValue
            case .canceled: canceled = newValue
            case .abandoned: abandoned = newValue
            }
        }
    }
}
