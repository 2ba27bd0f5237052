public import Ledger

/// What can be asked of a ledger: the seam between the HTTP routes and the database.
public protocol LedgerService: Sendable {
    /// Creates a job, or finds the one that has the same key and the same content already.
    ///
    /// - Throws: ``StoreError/Code/keyTaken`` where the key belongs to a job with other content.
    func createJob(_ description: JobDescription) async throws(StoreError) -> (view: JobView, created: Bool)

    /// The job with its snapshot; nil where there is none of this id. One query.
    func job(_ id: JobID) async throws(StoreError) -> JobView?

    /// The job with its snapshot, and which state of it that is; nil where there is none of this id. One query.
    func stampedJob(_ id: JobID) async throws(StoreError) -> StampedJob?

    /// The same for who has no task to wait with. Whoever asks at the same time shares one query.
    ///
    /// - Parameter whenDone: Called once, on any thread; must not block.
    func stampedJob(_ id: JobID, whenDone: @escaping @Sendable (Result<StampedJob?, StoreError>) -> Void)

    /// Tells which state of its snapshot a reader of this job is shown now, or nil where there is none of this id: for
    /// who has kept an answer and wants to know whether it is still the right one. Whoever asks at the same time shares
    /// one query, which costs much less than reading the snapshot.
    ///
    /// - Parameter whenDone: Called once, on any thread; must not block.
    func stamp(of id: JobID, whenDone: @escaping @Sendable (Result<SnapshotStamp?, StoreError>) -> Void)

    /// The job with its snapshot by this policy; nil where there is none of this id. One query, except by
    /// ``CountingPolicy/lastSuccessful``, which folds all of the job's events.
    func job(_ id: JobID, counting policy: CountingPolicy) async throws(StoreError) -> JobView?

    /// The job with its snapshot as it was at a sequence, or after the last event that was recorded at a time or before;
    /// nil where there is none of this id. Folds the events up to there: about a million a second.
    ///
    /// - Throws: ``StoreError/Code/overloaded`` where too many histories are being folded already.
    func job(
        _ id: JobID, at moment: PointInTime, counting policy: CountingPolicy
    ) async throws(StoreError) -> JobView?

    /// Jobs, newest first, older than `cursor` where one is given; at most `limit`. One query.
    func jobs(_ filter: JobFilter, limit: Int, after cursor: JobID?) async throws(StoreError) -> [JobView]

    /// The jobs of these ids that there are, in no order. One query.
    func jobs(_ ids: [JobID]) async throws(StoreError) -> [JobView]

    /// Hears of every snapshot that moves, while the subscription is kept. What is heard are hints, and hints get lost:
    /// whoever depends on them looks as well, now and then.
    ///
    /// - Parameter body: Called on any thread; must not block.
    func observeSnapshots(_ body: @escaping @Sendable (SnapshotHint) -> Void) -> SnapshotSubscription

    /// Appends events to one job: all or nothing, in order, contiguous. Returns once durably committed.
    ///
    /// - Parameter drafts: 1 to ``Limits/eventsPerAppendMax`` drafts without ``EventDraft/problems()``.
    /// - Returns: The sequences of the events, in the order of the drafts.
    func append(_ drafts: [EventDraft], to job: JobID) async throws(StoreError) -> ClosedRange<Int64>

    /// Appends events to one job, like ``append(_:to:)``, for who has no task to wait with.
    ///
    /// - Parameter whenDone: Called once, on any thread; must not block.
    func append(
        _ drafts: [EventDraft], to job: JobID,
        whenDone: @escaping @Sendable (Result<ClosedRange<Int64>, StoreError>) -> Void)

    /// Appends events to many jobs: all or nothing; in order and contiguous within each job.
    ///
    /// - Returns: For each job, in the order in which the entries first name it, the sequences of its events.
    func append(_ entries: [(job: JobID, draft: EventDraft)]) async throws(StoreError) -> [(
        job: JobID, sequences: ClosedRange<Int64>
    )]

    /// Waits until the job's snapshot has reached this sequence: true; or until the deadline has passed: false.
    func waitUntilFolded(_ job: JobID, sequence: Int64, deadline: Duration) async throws(StoreError) -> Bool

    /// Waits until the job's snapshot is beyond this sequence: true; or until the deadline has passed: false.
    func waitForChange(_ job: JobID, after sequence: Int64, deadline: Duration) async throws(StoreError) -> Bool

    /// A page of the history with verdicts: `limit` events at most after (or, descending, before) `after`.
    /// Nil where there is no such job.
    func events(
        _ job: JobID, _ filter: EventFilter, after: Int64?, limit: Int
    ) async throws(StoreError) -> EventPage?

    /// A page of the tasks of a job with their executions, in the order in which they began; `limit` at most, and fewer
    /// where they are large. Nil where there is no such job.
    ///
    /// - Parameter cursor: ``TaskPage/nextCursor`` of the page before.
    func tasks(
        _ job: JobID, state: TaskState?, limit: Int, after cursor: Int64?
    ) async throws(StoreError) -> TaskPage?

    /// The same as it was at a sequence, or after the last event that was recorded at a time or before. Each page folds
    /// the events up to there.
    ///
    /// - Throws: ``StoreError/Code/overloaded`` where too many histories are being folded already.
    func tasks(
        _ job: JobID, at moment: PointInTime, state: TaskState?, limit: Int, after cursor: Int64?
    ) async throws(StoreError) -> TaskPage?

    /// A page of where each unit of an indicator went, execution by execution; `limit` at most, and fewer where few of
    /// very many executions have reported on it.
    ///
    /// By another policy than ``CountingPolicy/last``, and of the past, each page folds the events up to there.
    ///
    /// - Parameters:
    ///   - label: The indicator; nil is the default one.
    ///   - moment: As of when; nil is now.
    ///   - cursor: ``Explanation/nextCursor`` of the page before.
    /// - Throws: ``StoreError/Code/overloaded`` where too many histories are being folded already.
    func explain(
        _ job: JobID, _ label: Name?, at moment: PointInTime?, counting policy: CountingPolicy, limit: Int,
        after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> ExplanationResult

    /// What happened to a job between two moments; nil where there is none of this id. Folds the events up to the later
    /// one.
    ///
    /// - Parameters:
    ///   - to: The later moment; nil is the last event in the ledger. One that is not later makes an empty difference.
    ///   - limit: How many changes of each kind are told; all are counted.
    /// - Throws: ``StoreError/Code/overloaded`` where too many histories are being folded already.
    func difference(
        _ job: JobID, from: PointInTime, to: PointInTime?, counting policy: CountingPolicy, limit: Int
    ) async throws(StoreError) -> SnapshotDiff?

    /// How an indicator came to its numbers. Folds all events of the job.
    ///
    /// - Parameters:
    ///   - label: The indicator; nil is the default one.
    ///   - points: How many points the curve may have, 2 or more; decreases are told even where there are more of them.
    /// - Throws: ``StoreError/Code/overloaded`` where too many histories are being folded already.
    func curve(_ job: JobID, _ label: Name?, points: Int) async throws(StoreError) -> HistoryResult

    /// Recomputes the hash chain of a stretch of a job from its events, and compares it with what is stored; at its end
    /// with the head of the job. Nil where there is no such job. Costs by the events: some 100,000 a second; locks
    /// nothing.
    func verify(_ job: JobID, _ stretch: Verification.Range) async throws(StoreError) -> Verification?

    /// The heads of jobs after this one, in the order of their ids; at most `limit`.
    func heads(after cursor: JobID?, limit: Int) async throws(StoreError) -> [LedgerHead]

    /// A part of a job's ledger as it was recorded, beginning after this event; nil where there is no such job.
    ///
    /// - Parameter limit: How many events at most.
    func excerpt(_ job: JobID, after sequence: Int64, limit: Int) async throws(StoreError) -> LedgerExcerpt?

    /// Takes over a part of a ledger that was exported, the beginning first: all of it or nothing. What is here already is
    /// compared and passed over, so it may be sent again.
    ///
    /// - Throws: ``StoreError/Code/invalid`` where it is not as it was recorded; ``StoreError/Code/conflict`` where it does
    ///   not go on where the job stands here, or goes another way, or another job has its key.
    func importExcerpt(_ excerpt: LedgerExcerpt) async throws(StoreError) -> ImportResult

    /// Begins a replay; workers do it.
    ///
    /// - Throws: ``StoreError/Code/unknownJob``; ``StoreError/Code/conflict`` where one is under way already.
    func beginReplay(_ request: Replay.Request) async throws(StoreError) -> Replay

    /// A replay, with the first of the differences it has found; nil where there is none of this id.
    func replay(_ id: JobID) async throws(StoreError) -> Replay?

    /// The newest replays, newest first, without their differences; at most `limit`.
    func replays(limit: Int) async throws(StoreError) -> [Replay]

    /// Has what was live before an applied replay put back; workers do it. Nil where there is no such replay.
    ///
    /// - Throws: ``StoreError/Code/conflict`` where it is not applied, or keeps nothing any more.
    func revertReplay(_ id: JobID) async throws(StoreError) -> Replay?

    /// Stops a replay that is under way, or clears away what an ended one keeps. Nil where there is no such replay.
    func dropReplay(_ id: JobID) async throws(StoreError) -> Replay?

    /// What the fold has made of these events so far, in order; nil for those that it has not reached.
    func verdicts(_ job: JobID, _ sequences: ClosedRange<Int64>) async throws(StoreError) -> [Verdict?]

    /// The execution of this name beside the one that was the last of its task at a sequence; nil if the fold has not
    /// met it.
    func standing(
        of execution: Name, task: Name, in job: JobID, at sequence: Int64
    ) async throws(StoreError) -> ExecutionStatus?

    /// A name for an execution that nobody else has.
    func newExecutionName() -> Name

    /// Whether the ledger can do its work now, and what keeps it from it.
    func readiness() async -> Readiness

    /// What is behind, who works on it, and what stands in the way.
    func status() async throws(StoreError) -> LedgerStatus

    /// Figures for operators.
    func statistics() async -> [Statistic]
}

/// A job with its snapshot, read at one moment.
public struct JobView: Hashable, Sendable {
    /// The job's id.
    public var id: JobID
    /// Its name, key and tags.
    public var description: JobDescription
    /// When it was created.
    public var createdAt: Timestamp
    /// The last event in the ledger; the snapshot may be behind.
    public var ledgerSequence: Int64
    /// What the fold has made of the events so far.
    public var snapshot: Snapshot
    /// The number of the projection that it was read from: another one after a replay was applied.
    public var projection: Int16
    /// The hash of the last event in the snapshot. It identifies the history: after a failover that lost events, or from a
    /// restored copy, the same sequences come again with other events.
    public var history: EventHash

    public init(
        id: JobID, description: JobDescription, createdAt: Timestamp, ledgerSequence: Int64, snapshot: Snapshot,
        projection: Int16 = 1, history: EventHash = .none
    ) {
        self.id = id
        self.description = description
        self.createdAt = createdAt
        self.ledgerSequence = ledgerSequence
        self.snapshot = snapshot
        self.projection = projection
        self.history = history
    }
}

/// What has become of an excerpt that was imported.
public struct ImportResult: Hashable, Sendable {
    public var job: JobID
    /// How many of its events are new here.
    public var appended: Int
    /// The last event of the job here.
    public var place: ChainPosition

    public init(job: JobID, appended: Int, place: ChainPosition) {
        self.job = job
        self.appended = appended
        self.place = place
    }
}

/// Which jobs a list holds: those for which everything given here is so.
public struct JobFilter: Hashable, Sendable {
    public var state: JobState?
    public var name: Name?
    public var key: Name?
    /// Tags that the job has with these values.
    public var tags: [Name: Name]
    /// A part of the job's name, in letters of either case, or its key. Jobs are looked through for it, newest first.
    public var search: Name?

    public init(
        state: JobState? = nil, name: Name? = nil, key: Name? = nil, tags: [Name: Name] = [:], search: Name? = nil
    ) {
        self.state = state
        self.name = name
        self.key = key
        self.tags = tags
        self.search = search
    }
}

/// Which events a history holds: those for which everything given here is so.
public struct EventFilter: Hashable, Sendable {
    /// The order of sequences.
    public enum Order: String, CaseIterable, Hashable, Sendable {
        case ascending = "asc"
        case descending = "desc"
    }

    /// A label to look for; nil inside is the default indicator.
    public struct Indicator: Hashable, Sendable {
        public var label: Name?

        public init(label: Name?) {
            self.label = label
        }
    }

    public var order: Order
    public var task: Name?
    /// The name of the execution as it is shown: given by the event or found by the fold.
    public var execution: Name?
    /// Only `progress` events of this indicator.
    public var indicator: Indicator?
    public var type: EventType?
    public var verdict: Verdict?

    public init(
        order: Order = .ascending, task: Name? = nil, execution: Name? = nil, indicator: Indicator? = nil,
        type: EventType? = nil, verdict: Verdict? = nil
    ) {
        self.order = order
        self.task = task
        self.execution = execution
        self.indicator = indicator
        self.type = type
        self.verdict = verdict
    }
}

/// A moment in the history of a job.
public enum PointInTime: Hashable, Sendable {
    /// After this event, from 0 for none to the last one that there is.
    case sequence(Int64)
    /// After the last event recorded at this time or before.
    case time(Timestamp)
}

/// What came of the question why an indicator shows what it shows.
public enum ExplanationResult: Sendable {
    case noSuchJob
    /// No event of the job has ever named it.
    case noSuchIndicator
    case found(Explanation)
}

/// What came of the question how an indicator came to its numbers.
public enum HistoryResult: Sendable {
    case noSuchJob
    /// No event of the job has ever named it.
    case noSuchIndicator
    case found(IndicatorHistory)
}

/// A part of a job's tasks, as of one sequence.
public struct TaskPage: Sendable {
    /// The last event in the snapshot to which they belong.
    public var sequence: Int64
    public var tasks: [TaskSummary]
    /// What to give as `cursor` for the next part; nil where there is none.
    public var nextCursor: Int64?

    public init(sequence: Int64, tasks: [TaskSummary], nextCursor: Int64?) {
        self.sequence = sequence
        self.tasks = tasks
        self.nextCursor = nextCursor
    }
}

/// A part of a job's history.
public struct EventPage: Sendable {
    /// The events, in the order that was asked for.
    public var events: [ExplainedEvent]
    /// What to give as `after` for the next part; nil where there is none.
    public var nextAfter: Int64?

    public init(events: [ExplainedEvent], nextAfter: Int64?) {
        self.events = events
        self.nextAfter = nextAfter
    }
}

/// An execution and the last one of its task; equal where it is the last.
public struct ExecutionStatus: Hashable, Sendable {
    public var execution: ExecutionIdentity
    public var last: ExecutionIdentity

    public init(execution: ExecutionIdentity, last: ExecutionIdentity) {
        self.execution = execution
        self.last = last
    }

    /// Whether the execution is the one that counts.
    public var isLast: Bool { execution.sequence == last.sequence }
}

/// Whether a ledger can do its work.
public struct Readiness: Sendable {
    /// One thing that must be so.
    public struct Check: Sendable {
        /// What is checked: `database`, `schema`, `projection`, `guarantees`, `partitions`, `appends`.
        public var name: String
        public var isPassed: Bool
        /// What was found, and what to do about it where it failed.
        public var detail: String

        public init(name: String, isPassed: Bool, detail: String) {
            self.name = name
            self.isPassed = isPassed
            self.detail = detail
        }
    }

    public var checks: [Check]

    public init(checks: [Check]) {
        self.checks = checks
    }

    /// Whether every check passed.
    public var isReady: Bool { checks.allSatisfy(\.isPassed) }
}

/// One figure for operators, in the form that Prometheus reads.
public struct Statistic: Sendable {
    public enum Kind: String, Sendable {
        case counter
        case gauge
    }

    /// In snake_case with its unit last, such as `progress_ledger_appended_events_total`.
    public var name: String
    /// What it is, in one sentence.
    public var help: String
    public var kind: Kind
    public var value: Double
    /// What tells it from others of the same name.
    public var labels: [(name: String, value: String)]

    public init(
        name: String, help: String, kind: Kind, value: Double, labels: [(name: String, value: String)] = []
    ) {
        self.labels = labels
        self.name = name
        self.help = help
        self.kind = kind
        self.value = value
    }
}
