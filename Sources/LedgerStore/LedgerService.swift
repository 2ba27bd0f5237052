public import Ledger

/// The operations of a ledger: the boundary between HTTP routes and database.
public protocol LedgerService: Sendable {
    /// Creates a job, or returns the existing job with the same key and content.
    ///
    /// - Parameters:
    ///   - reporter: The caller, recorded with the first event of a new job; nil without authentication.
    ///   - idempotencyKey: Makes a repeated request of the caller return the same job for a day. It is ignored if the
    ///     description has a key.
    /// - Throws: ``StoreError/Code/keyTaken`` if the key belongs to a job with other content;
    ///   ``StoreError/Code/idempotencyKeyReused`` if the idempotency key does.
    func createJob(
        _ description: JobDescription, by reporter: Name?, idempotencyKey: Name?
    ) async throws(StoreError) -> (view: JobView, created: Bool)

    /// Returns the job with its snapshot, or `nil` if it does not exist. One query.
    func job(_ id: JobID) async throws(StoreError) -> JobView?

    /// Returns the job with its snapshot and stamp, or `nil` if it does not exist.
    ///
    /// One query.
    func stampedJob(_ id: JobID) async throws(StoreError) -> StampedJob?

    /// Callback variant of ``stampedJob(_:)`` for callers without a task.
    ///
    /// Concurrent calls share one query.
    ///
    /// - Parameter whenDone: Called once, on any thread. It must not block.
    func stampedJob(_ id: JobID, whenDone: @escaping @Sendable (Result<StampedJob?, StoreError>) -> Void)

    /// Returns the stamp of the job's current snapshot, or `nil` without such a job.
    ///
    /// Use it to revalidate a cached response. Concurrent calls share one query, which costs much less than reading the
    /// snapshot.
    ///
    /// - Parameter whenDone: Called once, on any thread. It must not block.
    func stamp(of id: JobID, whenDone: @escaping @Sendable (Result<SnapshotStamp?, StoreError>) -> Void)

    /// Returns the job with its snapshot under this policy.
    ///
    /// `nil` if the job does not exist. One query, except for ``CountingPolicy/lastSuccessful``, which folds all events
    /// of the job.
    func job(_ id: JobID, counting policy: CountingPolicy) async throws(StoreError) -> JobView?

    /// Returns the job with its snapshot at a past point in time.
    ///
    /// A time selects the last event recorded at or before it. `nil` if the job does not exist. The cost is one fold of
    /// the events up to that point: about a million per second.
    ///
    /// - Throws: ``StoreError/Code/overloaded`` if too many histories are being folded.
    func job(
        _ id: JobID, at moment: PointInTime, counting policy: CountingPolicy
    ) async throws(StoreError) -> JobView?

    /// Returns jobs in an order of their ids, at most `limit`.
    ///
    /// One query.
    ///
    /// - Parameter cursor: The job after which the page begins, in that order; nil for the first page.
    func jobs(
        _ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) async throws(StoreError) -> [JobView]

    /// Counts the jobs that match, by state.
    ///
    /// One query, whose cost is bounded: see ``JobCountsByState``. Of each state the newest jobs are examined. A job
    /// without a snapshot is counted once a worker has made it.
    func countJobs(_ filter: JobFilter) async throws(StoreError) -> JobCountsByState

    /// Returns a page of jobs, and the shards that did not respond.
    ///
    /// The jobs are those of ``jobs(_:in:limit:after:)``.
    func jobList(
        _ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) async throws(StoreError) -> JobList

    /// Returns the tags of the existing jobs among these ids. One query.
    func tags(of ids: [JobID]) async throws(StoreError) -> [JobID: [Name: Name]]

    /// Returns the existing jobs among these ids, in no order. One query.
    func jobs(_ ids: [JobID]) async throws(StoreError) -> [JobView]

    /// Subscribes to snapshot changes for as long as the subscription is kept.
    ///
    /// Delivery is best effort: subscribers must also poll.
    ///
    /// - Parameter body: Called on any thread. It must not block.
    func observeSnapshots(_ body: @escaping @Sendable (SnapshotHint) -> Void) -> SnapshotSubscription

    /// Appends events to one job: all or nothing, in order, contiguous.
    ///
    /// Returns once the events are durably committed.
    ///
    /// - Parameter drafts: 1 to ``Limits/eventsPerAppendMax`` drafts without ``EventDraft/fieldErrors()``.
    /// - Returns: The sequences of the events, in the order of the drafts.
    func append(_ drafts: [EventDraft], to job: JobID) async throws(StoreError) -> ClosedRange<EventSequence>

    /// Callback variant of ``append(_:to:)`` for callers without a task.
    ///
    /// - Parameter whenDone: Called once, on any thread. It must not block.
    func append(
        _ drafts: [EventDraft], to job: JobID,
        whenDone: @escaping @Sendable (Result<ClosedRange<EventSequence>, StoreError>) -> Void)

    /// Appends events to several jobs: all or nothing, in order within each job.
    ///
    /// The events of one job get contiguous sequences.
    ///
    /// - Returns: The sequences of each job's events, in the order in which the entries first name the jobs.
    func append(_ entries: [(job: JobID, draft: EventDraft)]) async throws(StoreError) -> [(
        job: JobID, sequences: ClosedRange<EventSequence>
    )]

    /// Appends events to one job unless the job is canceled.
    ///
    /// It is decided at the event just before them. If the snapshot cannot decide that yet, it waits for the fold.
    ///
    /// - Parameter deadline: The longest wait for the fold.
    /// - Throws: ``StoreError/Code/jobCanceled`` if the job is canceled; ``StoreError/Code/behind`` if the fold takes
    ///   too long. Nothing is recorded then.
    func append(
        _ drafts: [EventDraft], to job: JobID, unlessCanceledWithin deadline: Duration
    ) async throws(StoreError) -> ClosedRange<EventSequence>

    /// Returns the state of the job's newest known snapshot, or `nil` without one.
    ///
    /// It reads nothing, so that an append can afford it. It may lag behind the snapshot.
    func knownState(of job: JobID) -> JobState?

    /// Waits until the job's snapshot has reached this sequence.
    ///
    /// Returns `true` if it has, `false` if the deadline has passed.
    func waitUntilFolded(_ job: JobID, sequence: EventSequence, deadline: Duration) async throws(StoreError) -> Bool

    /// Waits until the job's snapshot is beyond this sequence.
    ///
    /// Returns `true` if it is, `false` if the deadline has passed.
    func waitForChange(_ job: JobID, after sequence: EventSequence, deadline: Duration) async throws(StoreError) -> Bool

    /// Returns a page of the job's events with their verdicts.
    ///
    /// The page contains at most `limit` events after (descending: before) `after`. `nil` if the job does not exist.
    func events(
        _ job: JobID, _ filter: EventFilter, after: EventSequence?, limit: Int
    ) async throws(StoreError) -> EventPage?

    /// Returns a page of a job's tasks with their executions.
    ///
    /// The page contains at most `limit` tasks, and fewer if they are large or if very many had to be searched. `nil`
    /// if the job does not exist. An order that is not paged has no further pages, and reads all tasks that match.
    ///
    /// - Parameters:
    ///   - moment: The point in time; `nil` is now. A time selects the last event recorded at or before it. Each page
    ///     of the past folds the events up to that point.
    ///   - cursor: ``TaskPage/nextCursor`` of the previous page.
    /// - Throws: ``StoreError/Code/overloaded`` if too many histories are being folded.
    func tasks(
        _ job: JobID, _ filter: TaskFilter, at moment: PointInTime?, limit: Int, after cursor: TaskID?
    ) async throws(StoreError) -> TaskPage?

    /// Returns the executions of all tasks of a job over time.
    ///
    /// Without executions if the job does not exist. Costs a pass over the job's executions, about 300,000 per
    /// second.
    ///
    /// - Parameters:
    ///   - timeline: A timeline without executions. Running executions last until its end.
    ///   - moment: The point in time; `nil` is now. The past folds the events up to that point.
    /// - Throws: ``StoreError/Code/overloaded`` if too many histories are being folded.
    func timeline(
        _ job: JobID, _ timeline: ExecutionTimeline, at moment: PointInTime?
    ) async throws(StoreError) -> ExecutionTimeline

    /// Returns a page that accounts for each unit of an indicator, by execution.
    ///
    /// The page contains at most `limit` entries, and fewer if only few of very many executions have reported on the
    /// indicator.
    /// For any policy but ``CountingPolicy/last``, and for the past, each page folds the events up to that point.
    ///
    /// - Parameters:
    ///   - label: The indicator. `nil` is the default one.
    ///   - moment: The point in time. `nil` is now.
    ///   - onlyUncounted: Whether only executions with units that do not count are returned.
    ///   - cursor: ``Explanation/nextCursor`` of the previous page.
    /// - Throws: ``StoreError/Code/overloaded`` if too many histories are being folded.
    func explain(
        _ job: JobID, _ label: Name?, at moment: PointInTime?, counting policy: CountingPolicy, onlyUncounted: Bool,
        limit: Int, after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> ExplanationResult

    /// Returns the changes of a job between two points in time.
    ///
    /// `nil` if the job does not exist. Folds the events up to the later point.
    ///
    /// - Parameters:
    ///   - to: The later point. `nil` is the last event in the ledger. If it is not later, the difference is empty.
    ///   - limit: The maximum number of listed changes of each kind. All changes are counted.
    /// - Throws: ``StoreError/Code/overloaded`` if too many histories are being folded.
    func difference(
        _ job: JobID, from: PointInTime, to: PointInTime?, counting policy: CountingPolicy, limit: Int
    ) async throws(StoreError) -> SnapshotDiff?

    /// Returns the history of an indicator. Folds all events of the job.
    ///
    /// - Parameters:
    ///   - label: The indicator. `nil` is the default one.
    ///   - points: The maximum number of points, 2 or more. Decreases are always listed, even if they exceed it.
    /// - Throws: ``StoreError/Code/overloaded`` if too many histories are being folded.
    func history(_ job: JobID, _ label: Name?, points: Int) async throws(StoreError) -> HistoryResult

    /// Recomputes the hash chain of a range of a job's events and compares it.
    ///
    /// It is compared with the stored hashes and, at the end of the ledger, with the head of the job. `nil` if the job
    /// does not exist. Verifies about 100,000 events per second and locks nothing.
    func verify(_ job: JobID, _ range: Verification.Range) async throws(StoreError) -> Verification?

    /// Returns the record of a job's retirement, or `nil` if the job was not retired.
    ///
    /// All other operations on the events and the snapshot of a retired job throw ``StoreError/Code/retired``, except
    /// ``verify(_:_:)``; lists of jobs and heads contain it.
    func retirement(of job: JobID) async throws(StoreError) -> Retirement?

    /// Returns the heads of the jobs after this one, by job id, at most `limit`.
    func heads(after cursor: JobID?, limit: Int) async throws(StoreError) -> [LedgerHead]

    /// Returns a part of a job's ledger as it was recorded, after this event.
    ///
    /// `nil` if the job does not exist.
    ///
    /// - Parameter limit: The maximum number of events.
    func excerpt(_ job: JobID, after sequence: EventSequence, limit: Int) async throws(StoreError) -> LedgerExcerpt?

    /// Imports an exported part of a ledger, all or nothing.
    ///
    /// The parts of a job must arrive in order. Events that are already in this ledger are compared and skipped, so a
    /// part may be sent again.
    ///
    /// - Throws: ``StoreError/Code/invalid`` if the part is not as it was recorded; ``StoreError/Code/conflict`` if
    ///   it does not continue the job's ledger here, contradicts it, or if another job has its key.
    func importExcerpt(_ excerpt: LedgerExcerpt) async throws(StoreError) -> ImportResult

    /// Requests a replay, which the workers carry out.
    ///
    /// - Throws: ``StoreError/Code/unknownJob``; ``StoreError/Code/conflict`` if a replay is in progress.
    func beginReplay(_ request: Replay.Request) async throws(StoreError) -> Replay

    /// Returns a replay with its first findings, or `nil` if it does not exist.
    func replay(_ id: JobID) async throws(StoreError) -> Replay?

    /// Returns the track record of the jobs with this name in a confinement.
    ///
    /// Jobs with the tag ``JobDescription/historyTag`` are not among them. The newest 1,000 completed jobs count.
    func trackRecord(of name: Name, within confinement: Confinement) async throws(StoreError) -> TrackRecord

    /// Returns the newest replays, newest first, without findings, at most `limit`.
    func replays(limit: Int) async throws(StoreError) -> [Replay]

    /// Requests that the projections from before an applied replay become live again.
    ///
    /// The workers carry it out. `nil` if the replay does not exist.
    ///
    /// - Throws: ``StoreError/Code/conflict`` if the replay is not applied, or no longer keeps the previous
    ///   projections.
    func revertReplay(_ id: JobID) async throws(StoreError) -> Replay?

    /// Cancels a replay in progress, or deletes the data of an ended one.
    ///
    /// `nil` if the replay does not exist.
    func dropReplay(_ id: JobID) async throws(StoreError) -> Replay?

    /// Returns the verdicts of these events, in order.
    ///
    /// An entry is `nil` if the fold has not reached the event.
    func verdicts(_ job: JobID, _ sequences: ClosedRange<EventSequence>) async throws(StoreError) -> [Verdict?]

    /// Returns an execution and the last execution of its task at a sequence.
    ///
    /// `nil` if the fold has not reached the execution's first event.
    func status(
        of execution: Name, task: Name, in job: JobID, at sequence: EventSequence
    ) async throws(StoreError) -> ExecutionStatus?

    /// Creates a unique name for an execution.
    func newExecutionName() -> Name

    /// Reports whether the ledger can do its work now, and the reasons if not.
    func readiness() async -> Readiness

    /// Reports the lag, the workers and the obstacles of the ledger.
    func status() async throws(StoreError) -> LedgerStatus

    /// Returns figures for operators.
    func statistics() async -> [Statistic]

    /// The tokens by which requests are checked.
    var tokens: TokenRegistry { get }

    /// Creates a token. It takes effect within two seconds, in this process at once.
    ///
    /// - Parameter creator: The reporter of the request.
    /// - Returns: The token and its text, which is not stored and cannot be read again.
    /// - Throws: ``StoreError/Code/conflict`` if a token has or had the name, or if the ledger has too many tokens.
    func createToken(
        _ request: AccessTokenRequest, by creator: Name?
    ) async throws(StoreError) -> (token: AccessToken, text: String)

    /// Returns the tokens with jobs within a confinement.
    ///
    /// They are in the order of creation. Expired and revoked ones are included.
    func listTokens(within confinement: Confinement) async throws(StoreError) -> [AccessToken]

    /// Revokes a token for ever, and returns it.
    ///
    /// `nil` if there is none with this id within the confinement. It takes effect within two seconds, in this process
    /// at once.
    func revokeToken(_ id: AccessToken.ID, within confinement: Confinement) async throws(StoreError) -> AccessToken?

    /// Creates a subscription.
    ///
    /// Every event that is appended after the return is noticed.
    ///
    /// - Parameter creator: The reporter of the request.
    /// - Returns: The subscription and its secret, which cannot be read again.
    /// - Throws: ``StoreError/Code/conflict`` if the ledger has too many subscriptions.
    func createSubscription(
        _ request: SubscriptionRequest, by creator: Name?
    ) async throws(StoreError) -> (subscription: Subscription, secret: WebhookSecret)

    /// Returns the subscriptions within a confinement, in the order of creation.
    func subscriptions(within confinement: Confinement) async throws(StoreError) -> [Subscription]

    /// Removes a subscription with its deliveries, and returns it.
    ///
    /// `nil` if there is none with this id within the confinement.
    func removeSubscription(
        _ id: Subscription.ID, within confinement: Confinement
    ) async throws(StoreError) -> Subscription?

    /// Returns deliveries of subscriptions within a confinement, newest first.
    ///
    /// - Parameters:
    ///   - subscription: The subscription; nil for all.
    ///   - cursor: ``Delivery/cursor`` of the last delivery of the previous page.
    func deliveries(
        of subscription: Subscription.ID?, within confinement: Confinement, limit: Int, before cursor: Delivery.Cursor?
    ) async throws(StoreError) -> [Delivery]

    /// Sends a test to a subscription once, and returns the delivery.
    ///
    /// It may be pending still if no process sends it within some seconds. `nil` if there is no subscription with this
    /// id within the confinement.
    ///
    /// - Throws: ``StoreError/Code/conflict`` if the subscription is disabled.
    func testSubscription(
        _ id: Subscription.ID, within confinement: Confinement
    ) async throws(StoreError) -> Delivery?
}

extension LedgerService {
    /// Returns jobs, newest first, older than `cursor` if given, at most `limit`.
    public func jobs(_ filter: JobFilter, limit: Int, after cursor: JobID?) async throws(StoreError) -> [JobView] {
        try await jobs(filter, in: .newest, limit: limit, after: cursor)
    }

    /// Creates a job without a reporter, or returns the existing one.
    public func createJob(
        _ description: JobDescription
    ) async throws(StoreError) -> (view: JobView, created: Bool) {
        try await createJob(description, by: nil, idempotencyKey: nil)
    }
}

extension LedgerService {
    /// Returns the stamp of the job's current snapshot, or `nil` without such a job.
    ///
    /// Use it to check that a job exists, or how far its ledger and its snapshot are. It costs much less than reading
    /// the job, whose estimate must be computed.
    public func stamp(of id: JobID) async throws(StoreError) -> SnapshotStamp? {
        try await withCheckedContinuation { continuation in
            stamp(of: id) { continuation.resume(returning: $0) }
        }.get()
    }

    /// Returns a page of a job's tasks at present, in the order of start.
    public func tasks(
        _ job: JobID, state: TaskState?, onlySilent: Bool = false, limit: Int, after cursor: TaskID?
    ) async throws(StoreError) -> TaskPage? {
        let filter = TaskFilter(state: state, onlySilent: onlySilent)
        return try await tasks(job, filter, at: nil, limit: limit, after: cursor)
    }

    /// Returns a page of a job's tasks at a past point in time, in the order of start.
    public func tasks(
        _ job: JobID, at moment: PointInTime, state: TaskState?, onlySilent: Bool = false, limit: Int,
        after cursor: TaskID?
    ) async throws(StoreError) -> TaskPage? {
        let filter = TaskFilter(state: state, onlySilent: onlySilent)
        return try await tasks(job, filter, at: moment, limit: limit, after: cursor)
    }

    /// Returns a page that accounts for each unit of an indicator, by execution.
    public func explain(
        _ job: JobID, _ label: Name?, at moment: PointInTime?, counting policy: CountingPolicy, limit: Int,
        after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> ExplanationResult {
        try await explain(
            job, label, at: moment, counting: policy, onlyUncounted: false, limit: limit, after: cursor)
    }
}
