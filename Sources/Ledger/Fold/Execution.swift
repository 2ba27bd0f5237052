/// The fold's state of one execution of a task.
public struct Execution: Hashable, Sendable {
    /// Its id: the sequence of its first event.
    public let id: ExecutionID
    /// Its task.
    public let task: TaskID
    /// Its name; nil if it has none.
    public let name: Name?
    /// Its attempt, fixed by its first event; orders the executions of a task.
    public let attempt: Int32
    /// The time when its first event was recorded.
    public let startedAt: Timestamp
    /// Its outcome, by the latest event that reports one and is not discarded.
    ///
    /// Nil while it is running.
    public var outcome: ExecutionOutcome?
    /// Its latest event, discarded or not.
    public var lastSequence: EventSequence
    /// The time when its latest event was recorded.
    public var lastAt: Timestamp
    /// The execution that superseded it.
    ///
    /// If it was superseded already when it began: the execution that was last then. Nil while it is the last execution
    /// of its task.
    public var supersededBy: ExecutionID?
    /// Its latest event with a message that was not discarded.
    ///
    /// The text stays in that event: a task may have a hundred thousand executions.
    public var messageSequence: EventSequence?
    /// Its latest event with a link that was not discarded.
    public var linkSequence: EventSequence?
    /// The units that it reported on each indicator, without discarded events.
    public var contributions: ContributionTable
    /// The numbers of its reports.
    public var reports: ReportNumbers

    public init(
        id: ExecutionID, task: TaskID, name: Name?, attempt: Int32, startedAt: Timestamp,
        outcome: ExecutionOutcome? = nil, lastSequence: EventSequence, lastAt: Timestamp,
        supersededBy: ExecutionID? = nil,
        messageSequence: EventSequence? = nil, linkSequence: EventSequence? = nil,
        contributions: ContributionTable = ContributionTable(), reports: ReportNumbers = ReportNumbers()
    ) {
        self.id = id
        self.task = task
        self.name = name
        self.attempt = attempt
        self.startedAt = startedAt
        self.outcome = outcome
        self.lastSequence = lastSequence
        self.lastAt = lastAt
        self.supersededBy = supersededBy
        self.messageSequence = messageSequence
        self.linkSequence = linkSequence
        self.contributions = contributions
        self.reports = reports
    }

    /// Whether it is the last execution of its task, which is the one that counts.
    public var isLast: Bool { supersededBy == nil }

    /// Whether it is the last execution and failed, so that it counts provisionally.
    public var isProvisional: Bool { isLast && outcome == .failed }

    /// The identity by which other parts refer to it.
    public var identity: ExecutionIdentity {
        ExecutionIdentity(execution: name, attempt: attempt, id: id)
    }

    /// Its rank among the executions of its task; the highest one counts.
    public var rank: Rank { Rank(attempt: attempt, execution: id) }

    /// The order of the executions of a task: by attempt, then by first event.
    ///
    /// Specified in section 3 of the semantics.
    public struct Rank: Hashable, Comparable, Sendable {
        public let attempt: Int32
        public let execution: ExecutionID

        public init(attempt: Int32, execution: ExecutionID) {
            self.attempt = attempt
            self.execution = execution
        }

        public static func < (left: Rank, right: Rank) -> Bool {
            (left.attempt, left.execution) < (right.attempt, right.execution)
        }
    }
}
