/// What happened to a job between two points of its history: how its numbers changed, and which runs made them.
public struct SnapshotDiff: Hashable, Sendable {
    /// The snapshot before.
    public var from: Snapshot
    /// The snapshot after.
    public var to: Snapshot
    /// How many events lie between, by their verdicts on arrival. A superseded one was late.
    public var events: [Verdict: Int64]
    /// Executions that began.
    public var started: Changes<Started>
    /// Executions that ended.
    public var finished: Changes<Finished>
    /// Executions that no longer count, with what they had counted: why numbers fell.
    public var superseded: Changes<Superseded>

    public init(
        from: Snapshot, to: Snapshot, events: [Verdict: Int64], started: Changes<Started>,
        finished: Changes<Finished>, superseded: Changes<Superseded>
    ) {
        self.from = from
        self.to = to
        self.events = events
        self.started = started
        self.finished = finished
        self.superseded = superseded
    }

    /// Changes of one kind: how many there are, and the first of them.
    public struct Changes<Change: Hashable & Sendable>: Hashable, Sendable {
        public var count: Int64 = 0
        /// In the order in which they happened.
        public var first: [Change] = []

        public init() {}

        mutating func note(_ change: Change, limit: Int) {
            count += 1
            if first.count < limit { first.append(change) }
        }
    }

    /// An execution began.
    public struct Started: Hashable, Sendable {
        public var task: Name
        public var execution: ExecutionIdentity
        public var at: Timestamp
        /// Whether a higher one was there already, so that it never counted.
        public var isLate: Bool

        public init(task: Name, execution: ExecutionIdentity, at: Timestamp, isLate: Bool) {
            self.task = task
            self.execution = execution
            self.at = at
            self.isLate = isLate
        }
    }

    /// An execution ended, or said so once more.
    public struct Finished: Hashable, Sendable {
        public var task: Name
        public var execution: ExecutionIdentity
        /// The event that says so.
        public var sequence: Int64
        public var at: Timestamp
        public var outcome: ExecutionOutcome

        public init(
            task: Name, execution: ExecutionIdentity, sequence: Int64, at: Timestamp, outcome: ExecutionOutcome
        ) {
            self.task = task
            self.execution = execution
            self.sequence = sequence
            self.at = at
            self.outcome = outcome
        }
    }

    /// An execution was superseded.
    public struct Superseded: Hashable, Sendable {
        public var task: Name
        public var execution: ExecutionIdentity
        /// The one that took its place, with its first event.
        public var by: ExecutionIdentity
        public var at: Timestamp
        /// What it had counted on each indicator, in the order in which the job first named them.
        public var lost: [ExecutionSummary.CountedUnits]

        public init(
            task: Name, execution: ExecutionIdentity, by: ExecutionIdentity, at: Timestamp,
            lost: [ExecutionSummary.CountedUnits]
        ) {
            self.task = task
            self.execution = execution
            self.by = by
            self.at = at
            self.lost = lost
        }
    }

    /// An indicator that is not the same after as before.
    public struct IndicatorChange: Hashable, Sendable {
        public var label: Name?
        /// What it counted before; nil where it was not shown.
        public var from: Units?
        /// What it counts after; nil where it is not shown.
        public var to: Units?

        public init(label: Name?, from: Units?, to: Units?) {
            self.label = label
            self.from = from
            self.to = to
        }
    }

    /// The indicators that changed, in the order in which the job first named them; those that are gone come last.
    public var indicators: [IndicatorChange] {
        let before = Dictionary(uniqueKeysWithValues: from.indicators.map { ($0.label, $0.counted) })
        let after = Set(to.indicators.map(\.label))
        let changed = to.indicators.filter { before[$0.label] != $0.counted }.map { indicator in
            IndicatorChange(label: indicator.label, from: before[indicator.label], to: indicator.counted)
        }
        let gone = from.indicators.filter { !after.contains($0.label) }.map { indicator in
            IndicatorChange(label: indicator.label, from: indicator.counted, to: nil)
        }
        return changed + gone
    }
}
