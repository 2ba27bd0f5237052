/// One run of a task, as the fold knows it.
public struct Execution: Hashable, Sendable {
    /// The sequence of its first event, by which it is told from the job's others: an event begins one at most.
    public let sequence: Int64
    /// The sequence that tells its task.
    public let task: Int64
    /// Its name; nil where nobody named it.
    public let name: Name?
    /// Its place among the executions of its task, fixed by its first event.
    public let attempt: Int32
    /// When its first event was recorded.
    public let startedAt: Timestamp
    /// How it ended, by the latest event that says so and is not discarded; nil while it runs.
    public var outcome: ExecutionOutcome?
    /// Its latest event, discarded or not.
    public var lastSequence: Int64
    /// When its latest event was recorded.
    public var lastAt: Timestamp
    /// The sequence that tells the execution that took its place, or that was last already when it began; nil
    /// while it is the last one of its task.
    public var supersededBy: Int64?
    /// What it reported on each indicator, discarded events apart.
    public var contributions: ContributionTable
    /// The numbers of its reports.
    public var reports: ReportNumbers

    public init(
        sequence: Int64, task: Int64, name: Name?, attempt: Int32, startedAt: Timestamp,
        outcome: ExecutionOutcome? = nil, lastSequence: Int64, lastAt: Timestamp, supersededBy: Int64? = nil,
        contributions: ContributionTable = ContributionTable(), reports: ReportNumbers = ReportNumbers()
    ) {
        self.sequence = sequence
        self.task = task
        self.name = name
        self.attempt = attempt
        self.startedAt = startedAt
        self.outcome = outcome
        self.lastSequence = lastSequence
        self.lastAt = lastAt
        self.supersededBy = supersededBy
        self.contributions = contributions
        self.reports = reports
    }

    /// Whether it is the last execution of its task: the one that counts.
    public var isLast: Bool { supersededBy == nil }

    /// Whether it counts only until another one starts: it is the last one and failed.
    public var isProvisional: Bool { isLast && outcome == .failed }

    /// How it is shown where another thing refers to it.
    public var identity: ExecutionIdentity {
        ExecutionIdentity(execution: name, attempt: attempt, sequence: sequence)
    }

    /// Where it stands among the executions of its task: by attempt, then by its first event; the higher counts.
    public var rank: Rank { Rank(attempt: attempt, sequence: sequence) }

    /// The order of the executions of a task (semantics, section 3).
    public struct Rank: Hashable, Comparable, Sendable {
        public let attempt: Int32
        public let sequence: Int64

        public init(attempt: Int32, sequence: Int64) {
            self.attempt = attempt
            self.sequence = sequence
        }

        public static func < (left: Rank, right: Rank) -> Bool {
            (left.attempt, left.sequence) < (right.attempt, right.sequence)
        }
    }
}
