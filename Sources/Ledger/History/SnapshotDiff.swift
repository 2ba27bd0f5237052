/// The changes of a job between two sequences.
///
/// It contains the changes of the numbers and the executions that caused them.
public struct SnapshotDiff: Hashable, Sendable {
    /// The earlier snapshot.
    public var from: Snapshot
    /// The later snapshot.
    public var to: Snapshot
    /// The number of events between the two, by verdict on arrival.
    ///
    /// An event that was `superseded` on arrival was late.
    public var events: [Verdict: Int64]
    /// The executions that began.
    public var started: Changes<Started>
    /// The executions that ended.
    public var finished: Changes<Finished>
    /// The executions that were superseded, with the units they had counted.
    ///
    /// They explain why numbers decreased.
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

    /// The changes of one kind: their number, and the first of them.
    public struct Changes<Change: Hashable & Sendable>: Hashable, Sendable {
        public var count: Int64 = 0
        /// The first changes, in the order in which they happened.
        public var first: [Change] = []

        public init() {}

        mutating func append(_ change: Change, limit: Int) {
            count += 1
            if first.count < limit { first.append(change) }
        }
    }

    /// The start of an execution.
    public struct Started: Hashable, Sendable {
        public var task: Name
        public var execution: ExecutionIdentity
        public var at: Timestamp
        /// Whether a higher execution existed already, so that this one never counted.
        public var isLate: Bool

        public init(task: Name, execution: ExecutionIdentity, at: Timestamp, isLate: Bool) {
            self.task = task
            self.execution = execution
            self.at = at
            self.isLate = isLate
        }
    }

    /// The end of an execution, or a repeated report of its end.
    public struct Finished: Hashable, Sendable {
        public var task: Name
        public var execution: ExecutionIdentity
        /// The event that reports the end.
        public var sequence: EventSequence
        public var at: Timestamp
        public var outcome: ExecutionOutcome

        public init(
            task: Name, execution: ExecutionIdentity, sequence: EventSequence, at: Timestamp, outcome: ExecutionOutcome
        ) {
            self.task = task
            self.execution = execution
            self.sequence = sequence
            self.at = at
            self.outcome = outcome
        }
    }

    /// The supersession of an execution.
    public struct Superseded: Hashable, Sendable {
        public var task: Name
        public var execution: ExecutionIdentity
        /// The execution that superseded it with its first event.
        public var by: ExecutionIdentity
        public var at: Timestamp
        /// The units that it had counted on each indicator.
        ///
        /// In the order in which the job first named the indicators.
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

    /// An indicator with different values before and after.
    public struct IndicatorChange: Hashable, Sendable {
        public var label: Name?
        /// The units counted before; nil if the indicator was not shown.
        public var from: Units?
        /// The units counted after; nil if the indicator is not shown.
        public var to: Units?

        public init(label: Name?, from: Units?, to: Units?) {
            self.label = label
            self.from = from
            self.to = to
        }
    }

    /// The indicators that changed, in the order in which the job first named them.
    ///
    /// Indicators that are no longer shown are last.
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
