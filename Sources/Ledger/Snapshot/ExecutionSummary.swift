/// One execution of a task, as of a snapshot.
public struct ExecutionSummary: Hashable, Sendable {
    /// Its name; nil if it has none.
    public var name: Name?
    public var attempt: Int32
    /// Its outcome; nil while it is running.
    public var outcome: ExecutionOutcome?
    /// Its id: its first event.
    public var id: ExecutionID
    /// Its latest event, discarded or not.
    public var lastSequence: EventSequence
    public var startedAt: Timestamp
    public var lastAt: Timestamp
    /// Whether it is the last execution of its task, which is the one that counts.
    public var isCounted: Bool
    /// Whether it failed and counts only until another execution starts.
    public var isProvisional: Bool
    /// The reporter of its first event; nil without authentication.
    public var reporter: Name?
    /// Its newest message: the cause of its end, or its last work.
    ///
    /// That of its latest event that has one and was not discarded.
    public var message: Name?
    /// Its newest link to more information, such as its log.
    public var link: Name?
    /// The event that contains ``message``; only of summaries from a fold.
    var messageSequence: EventSequence?
    /// The event that contains ``link``.
    var linkSequence: EventSequence?
    /// The time of its last event if it is silent since then.
    public var silentSince: Timestamp?
    /// The units that it reported on each indicator.
    ///
    /// In the order in which the job first named the indicators.
    public var progress: [CountedUnits]

    /// The units that an execution reported on one indicator, without discarded events.
    public struct CountedUnits: Hashable, Sendable {
        /// The indicator's label; nil is the default indicator.
        public var label: Name?
        public var units: Units

        public init(label: Name?, units: Units) {
            self.label = label
            self.units = units
        }
    }

    public init(
        name: Name?, attempt: Int32, outcome: ExecutionOutcome?, id: ExecutionID, lastSequence: EventSequence,
        startedAt: Timestamp, lastAt: Timestamp, isCounted: Bool, isProvisional: Bool, reporter: Name? = nil,
        message: Name? = nil, link: Name? = nil, silentSince: Timestamp? = nil, progress: [CountedUnits]
    ) {
        self.name = name
        self.attempt = attempt
        self.outcome = outcome
        self.id = id
        self.lastSequence = lastSequence
        self.startedAt = startedAt
        self.lastAt = lastAt
        self.isCounted = isCounted
        self.isProvisional = isProvisional
        self.reporter = reporter
        self.message = message
        self.link = link
        self.silentSince = silentSince
        self.progress = progress
    }

    /// Creates the summary of an execution, without its reporter, message and link.
    ///
    /// The fold does not keep these texts: ``TaskPage/setNotes(_:)``.
    ///
    /// - Parameter labels: The labels of the indicators that it reported on.
    public init(_ execution: Execution, labels: [IndicatorID: Name?]) {
        self.init(
            name: execution.name, attempt: execution.attempt, outcome: execution.outcome,
            id: execution.id, lastSequence: execution.lastSequence, startedAt: execution.startedAt,
            lastAt: execution.lastAt, isCounted: execution.isLast, isProvisional: execution.isProvisional,
            progress: execution.contributions.entries.map { entry in
                CountedUnits(label: labels[entry.indicator] ?? nil, units: entry.units)
            })
        messageSequence = execution.messageSequence
        linkSequence = execution.linkSequence
    }
}
