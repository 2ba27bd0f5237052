/// One run of a task, as of a snapshot.
public struct ExecutionSummary: Hashable, Sendable {
    /// Its name; nil where nobody named it.
    public var name: Name?
    public var attempt: Int32
    /// How it ended; nil while it runs.
    public var outcome: ExecutionOutcome?
    /// Its first event.
    public var firstSequence: Int64
    /// Its latest event, discarded or not.
    public var lastSequence: Int64
    public var startedAt: Timestamp
    public var lastAt: Timestamp
    /// Whether it is the last one of its task: the one that counts.
    public var isCounted: Bool
    /// Whether it counts only until another one starts, because it failed.
    public var isProvisional: Bool
    /// What it reported on each indicator, in the order in which the job first named them.
    public var progress: [CountedUnits]

    /// What an execution reported on one indicator, discarded events apart.
    public struct CountedUnits: Hashable, Sendable {
        /// The indicator's label; nil is the default one.
        public var label: Name?
        public var units: Units

        public init(label: Name?, units: Units) {
            self.label = label
            self.units = units
        }
    }

    public init(
        name: Name?, attempt: Int32, outcome: ExecutionOutcome?, firstSequence: Int64, lastSequence: Int64,
        startedAt: Timestamp, lastAt: Timestamp, isCounted: Bool, isProvisional: Bool, progress: [CountedUnits]
    ) {
        self.name = name
        self.attempt = attempt
        self.outcome = outcome
        self.firstSequence = firstSequence
        self.lastSequence = lastSequence
        self.startedAt = startedAt
        self.lastAt = lastAt
        self.isCounted = isCounted
        self.isProvisional = isProvisional
        self.progress = progress
    }

    /// The summary of an execution.
    ///
    /// - Parameter labels: The labels of the indicators that it has reported on, by the sequences that tell them.
    public init(_ execution: Execution, labels: [Int64: Name?]) {
        self.init(
            name: execution.name, attempt: execution.attempt, outcome: execution.outcome,
            firstSequence: execution.sequence, lastSequence: execution.lastSequence, startedAt: execution.startedAt,
            lastAt: execution.lastAt, isCounted: execution.isLast, isProvisional: execution.isProvisional,
            progress: execution.contributions.entries.map { entry in
                CountedUnits(label: labels[entry.indicator] ?? nil, units: entry.units)
            })
    }
}
