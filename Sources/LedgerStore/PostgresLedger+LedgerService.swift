public import Ledger
internal import PQ

extension PostgresLedger: LedgerService {
    /// The longest time that a waiter relies on hints, which can get lost.
    private static let pollInterval: Duration = .milliseconds(500)
    /// The same limit for callers that wait for any change.
    ///
    /// There may be thousands of them, for half a minute each.
    private static let changePollInterval: Duration = .seconds(5)

    public func createJob(
        _ description: JobDescription, by reporter: Name?, idempotencyKey: Name?
    ) async throws(StoreError) -> (view: JobView, created: Bool) {
        switch try await createJob(description, by: reporter, idempotencyKey: idempotencyKey, at: nil) {
        case .done(let view, let isNew): return (view, isNew)
        case .reserved, .otherMap, .notFound:
            throw StoreError(.corrupt, "creating a job: the ledger is a shard of another one")
        }
    }

    /// The result of the creation of a job in a shard.
    enum CreationInShard {
        case done(JobView, isNew: Bool)
        /// The key belongs to a job in another slot.
        case reserved(JobID)
        /// The shard has another version of the map.
        case otherMap
        /// No job has the key, and none was to be created.
        case notFound
    }

    func createJob(
        _ description: JobDescription, by reporter: Name?, idempotencyKey: Name?, at placement: JobCreator.Placement?
    ) async throws(StoreError) -> CreationInShard {
        let outcome: JobCreator.Creation
        do throws(PQError) {
            outcome = try await jobCreator.create(
                description, by: reporter,
                description.key == nil ? idempotencyKey.map { IdempotencyKey(reporter: reporter, key: $0) } : nil,
                at: placement)
        } catch {
            guard !error.isMissingPartition else {
                throw StoreError(
                    .unavailable,
                    "creating a job: the partition of this month is not attached to ledger.event. Attach it again",
                    retryAfter: .seconds(60), cause: error)
            }
            throw StoreError(error, while: "creating a job")
        }
        switch outcome {
        case .keyTaken(let id):
            throw StoreError(.keyTaken, "job \(id) already has this key, with another name or other tags", jobs: [id])
        case .idempotencyKeyReused:
            throw StoreError(.idempotencyKeyReused, "the Idempotency-Key was already used with other content")
        case .existed(let id):
            // The job of an idempotency key may have been moved to another shard.
            if placement != nil { return try await job(id).map { .done($0, isNew: false) } ?? .reserved(id) }
            return .done(try await existing(id), isNew: false)
        case .reserved(let id): return .reserved(id)
        case .otherMap: return .otherMap
        case .notFound: return .notFound
        case .created(let new):
            appender.jobCreated(new)
            let view = try await existing(new.id)
            // Watchers of a list of jobs see the new one.
            jobStates.created(new.id, view.snapshot.sequence)
            await snapshotsFolded([(new.id, view.snapshot.sequence, view.snapshot.state)])
            return .done(view, isNew: true)
        }
    }

    private func existing(_ id: JobID) async throws(StoreError) -> JobView {
        guard let view = try await job(id) else {
            throw StoreError(.corrupt, "job \(id) was created but cannot be found", jobs: [id])
        }
        return view
    }

    public func job(_ id: JobID) async throws(StoreError) -> JobView? {
        try await stampedJob(id)?.view
    }

    public func stampedJob(_ id: JobID) async throws(StoreError) -> StampedJob? {
        let found = try await attempting("reading a job") { () throws(PQError) in try await snapshots.job(id) }
        guard !(found?.stamp.isRetired ?? false) else { throw .retired([id]) }
        return found
    }

    /// Returns a job without its estimate and its stalls.
    ///
    /// They cost a further query and a simulation.
    private func plainJob(_ id: JobID) async throws(StoreError) -> JobView? {
        let found = try await attempting("reading a job") { () throws(PQError) in try await snapshots.plainJob(id) }
        guard !(found?.isRetired ?? false) else { throw .retired([id]) }
        return found
    }

    public func stamp(of id: JobID, whenDone: @escaping @Sendable (Result<SnapshotStamp?, StoreError>) -> Void) {
        stamps.get(id) { result in
            whenDone(result.flatMap { $0?.isRetired ?? false ? .failure(.retired([id])) : .success($0) })
        }
    }

    public func stampedJob(_ id: JobID, whenDone: @escaping @Sendable (Result<StampedJob?, StoreError>) -> Void) {
        sharedSnapshots.get(id) { result in
            whenDone(result.flatMap { $0?.stamp.isRetired ?? false ? .failure(.retired([id])) : .success($0) })
        }
    }

    func currentJob(_ id: JobID, counting policy: CountingPolicy) async throws(StoreError) -> JobView? {
        switch policy {
        case .last: return try await job(id)
        case .all:
            let found = try await attempting("reading a job") { () throws(PQError) in
                try await snapshots.jobCountingAll(id)
            }
            guard !(found?.isRetired ?? false) else { throw .retired([id]) }
            return found
        case .lastSuccessful:
            try await refuseNewerSchema()
            guard let view = try await plainJob(id) else { return nil }
            return try await fold(view, through: view.snapshot.sequence, policy)
        }
    }

    func pastJob(
        _ id: JobID, at moment: PointInTime, counting policy: CountingPolicy
    ) async throws(StoreError) -> JobView? {
        try await refuseNewerSchema()
        guard let view = try await plainJob(id) else { return nil }
        let sequence = try await pointInTimeFold.sequence(of: moment, id, head: view.ledgerSequence)
        guard policy == .last else { return try await fold(view, through: sequence, policy) }
        return try await past(view, through: sequence, at: moment)
    }

    /// Returns a job as it was, with the estimate that was given then.
    private func past(
        _ view: JobView, through sequence: EventSequence, at moment: PointInTime
    ) async throws(StoreError) -> JobView {
        let folded = try await pointInTimeFold.past(of: view, at: sequence)
        var past = view
        past.snapshot = folded.snapshot
        let question = Self.question(past, folded, at: moment)
        let at = question.moment
        past.estimate = try await attempting("estimating a job") { () throws(PQError) in
            if past.snapshot.state == .running, let group = summaries.group(of: view.description) {
                try await summaries.waitUntilSummarised(group, by: at, except: view.id)
            }
            return try await estimates.estimates([question]).first
        }
        past.stalls = try await attempting("finding the stalls of a job") { () throws(PQError) in
            try await stalls.stalls([question]).first ?? nil
        }
        return past
    }

    /// The question for the estimate and the stalls of a past snapshot.
    private static func question(
        _ past: JobView, _ folded: PointInTimeFold.Past, at moment: PointInTime
    ) -> EstimateReader.Question {
        let at: Timestamp =
            switch moment {
            case .time(let time): min(time, .now)
            case .sequence: folded.snapshot.updatedAt ?? past.createdAt
            }
        return EstimateReader.Question(view: past, state: folded.state, moment: at, past: folded.tasks)
    }

    private func fold(
        _ view: JobView, through sequence: EventSequence, _ policy: CountingPolicy
    ) async throws(StoreError) -> JobView {
        var past = view
        past.snapshot = try await pointInTimeFold.snapshot(of: view, at: sequence, counting: policy)
        return past
    }

    public func jobs(
        _ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) async throws(StoreError) -> [JobView] {
        try await attempting("listing jobs") { () throws(PQError) in
            try await snapshots.jobs(filter, in: order, limit: limit, after: cursor)
        }
    }

    public func countJobs(_ filter: JobFilter) async throws(StoreError) -> JobCountsByState {
        try await attempting("counting jobs") { () throws(PQError) in try await snapshots.counts(filter) }
    }

    public func jobs(_ ids: [JobID]) async throws(StoreError) -> [JobView] {
        try await attempting("reading jobs") { () throws(PQError) in
            try await snapshots.jobs(ids).filter { !$0.isRetired }
        }
    }

    public func observeSnapshots(_ body: @escaping @Sendable (SnapshotHint) -> Void) -> SnapshotSubscription {
        notifier.observers.add(body)
    }

    public func append(_ drafts: [EventDraft], to job: JobID) async throws(StoreError) -> ClosedRange<EventSequence> {
        try await withCheckedContinuation { continuation in
            append(drafts, to: job) { continuation.resume(returning: $0) }
        }.get()
    }

    public func append(
        _ drafts: [EventDraft], to job: JobID,
        whenDone: @escaping @Sendable (Result<ClosedRange<EventSequence>, StoreError>) -> Void
    ) {
        appender.append(AppendRequest(parts: [AppendRequest.Part(job: job, drafts: drafts)])) { result in
            whenDone(
                result.flatMap { results in
                    results.first.map { .success($0.sequences) }
                        ?? .failure(StoreError(.corrupt, "the append contains no events"))
                })
        }
    }

    public func append(
        _ entries: [(job: JobID, draft: EventDraft)]
    ) async throws(StoreError) -> [(job: JobID, sequences: ClosedRange<EventSequence>)] {
        try await appender.append(AppendRequest(entries: entries)).get()
    }

    public func tags(of ids: [JobID]) async throws(StoreError) -> [JobID: [Name: Name]] {
        try await attempting("reading tags") { () throws(PQError) in try await snapshots.tags(ids) }
    }

    public func waitUntilFolded(
        _ job: JobID, sequence: EventSequence, deadline: Duration
    ) async throws(StoreError) -> Bool {
        try await wait(job, for: sequence, deadline: deadline, until: .folded) ?? false
    }

    /// The purpose of a wait, which determines how often the database is read.
    enum Wait {
        /// Events that exist are folded.
        case folded
        /// Events are recorded that do not exist yet.
        case changed
    }

    /// Waits until the snapshot of a job has reached a sequence.
    ///
    /// - Parameter endsIfMissing: Whether it ends if the job has no snapshot here. It may be in another shard.
    /// - Returns: Whether the snapshot has reached the sequence; nil if it is missing.
    func wait(
        _ job: JobID, for sequence: EventSequence, deadline: Duration, until purpose: Wait, endsIfMissing: Bool = false
    ) async throws(StoreError) -> Bool? {
        let end = ContinuousClock.now + deadline
        let interval = purpose == .folded ? Self.pollInterval : Self.changePollInterval
        while true {
            // The database is read first: a snapshot that moved before the wait began is not announced again.
            let checkpoint = try await self.checkpoint(of: job)
            if endsIfMissing, checkpoint == nil { return nil }
            if let checkpoint, checkpoint >= sequence { return true }
            let rest = ContinuousClock.now.duration(to: end)
            guard rest > .zero, !Task.isCancelled else { return false }
            switch await notifier.wait(job, for: sequence, atMost: min(rest, interval)) {
            case .reached: return true
            case .reachedEarlier:
                if let checkpoint = try await self.checkpoint(of: job), checkpoint >= sequence { return true }
                await notifier.invalidate(job)
            case .recheck: break
            }
        }
    }

    public func waitForChange(
        _ job: JobID, after sequence: EventSequence, deadline: Duration
    ) async throws(StoreError) -> Bool {
        try await wait(job, for: sequence + 1, deadline: deadline, until: .changed) ?? false
    }

    /// The sequence that the snapshot of a job has reached; nil without a snapshot.
    private func checkpoint(of job: JobID) async throws(StoreError) -> EventSequence? {
        try await attempting("reading a snapshot") { () throws(PQError) in
            let rows = try await pool.query(
                Query("select sequence, state from ledger.snapshot where job_id = $1 and is_live", [.uuid(job.uuid)]))
            guard let row = rows.first else { return nil }
            let sequence = try row.decode(0, as: EventSequence.self)
            // The caller's response must not contain an earlier state than the snapshot that it waited for.
            jobStates.folded(job, sequence, JobState(rawValue: try row.decode(1)))
            return sequence
        }
    }

    func eventPage(
        _ job: JobID, _ filter: EventFilter, after: EventSequence?, limit: Int
    ) async throws(StoreError) -> EventPage? {
        let page = try await attempting("reading events") { () throws(PQError) in
            try await eventReader.events(job, filter, after: after, limit: limit)
        }
        // The events of a retired job have no verdicts. Without a verdict, one more lookup tells the cases apart.
        guard let page, page.events.allSatisfy({ $0.verdict == nil }) else { return page }
        try await refuseRetired(job)
        // Each job has at least the event that created it.
        if page.events.isEmpty, after == nil, filter == EventFilter(order: filter.order) { throw .detached([job]) }
        return page
    }

    public func tasks(
        _ job: JobID, _ filter: TaskFilter, at moment: PointInTime?, limit: Int, after cursor: TaskID?
    ) async throws(StoreError) -> TaskPage? {
        if let moment {
            return try await reading(job) { (ledger) throws(StoreError) in
                try await ledger.pastTasks(job, filter, at: moment, limit: limit, after: cursor)
            }
        }
        let page = try await attempting("reading tasks") { () throws(PQError) -> TaskPage? in
            guard let silence = try await snapshots.silence(of: job) else { return nil }
            return try await TaskReader(pool: pool, silence: silence, filter: filter)
                .tasks(job, limit: limit, after: cursor)
        }
        if page?.tasks.isEmpty ?? false { try await refuseRetired(job) }
        return page
    }

    private func pastTasks(
        _ job: JobID, _ filter: TaskFilter, at moment: PointInTime, limit: Int, after cursor: TaskID?
    ) async throws(StoreError) -> TaskPage? {
        try await refuseNewerSchema()
        guard let view = try await plainJob(job) else { return nil }
        let sequence = try await pointInTimeFold.sequence(of: moment, job, head: view.ledgerSequence)
        let folded = try await pointInTimeFold.past(of: view, at: sequence)
        var past = view
        past.snapshot = folded.snapshot
        let question = Self.question(past, folded, at: moment)
        let silence = try await attempting("finding silent executions") { () throws(PQError) in
            try await stalls.silence(question)
        }
        var page = await ComputeThreads.run { folded.taskPage(filter, silence, question.moment, limit, cursor) }
        let query = EventNotesLookup.query(job, page.notedEvents)
        page.setNotes(
            try await attempting("reading the messages of tasks") { () throws(PQError) in
                try EventNotesLookup.notes(try await pool.lookUp([query])[0])
            })
        return page
    }

    public func timeline(
        _ job: JobID, _ timeline: ExecutionTimeline, at moment: PointInTime?
    ) async throws(StoreError) -> ExecutionTimeline {
        guard let moment else {
            return try await attempting("reading a timeline") { () throws(PQError) in
                try await TimelineReader(pool: pool).timeline(job, timeline)
            }
        }
        return try await reading(job) { (ledger) throws(StoreError) in
            try await ledger.refuseNewerSchema()
            guard let view = try await ledger.plainJob(job) else { return timeline }
            let sequence = try await ledger.pointInTimeFold.sequence(of: moment, job, head: view.ledgerSequence)
            return try await ledger.pointInTimeFold.timeline(timeline, of: view, at: sequence)
        }
    }

    func explanation(
        of job: JobID, _ label: Name?, at moment: PointInTime?, counting policy: CountingPolicy, onlyUncounted: Bool,
        limit: Int, after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> ExplanationResult {
        if moment == nil, policy == .last {
            let outcome = try await attempting("explaining an indicator") { () throws(PQError) in
                try await ExplainReader(pool: pool, onlyUncounted: onlyUncounted)
                    .explain(job, label, limit: limit, after: cursor)
            }
            guard case .noSuchIndicator = outcome, let view = try await plainJob(job) else { return outcome }
            return try await explainUnnamed(label, in: view, at: view.snapshot.sequence)
        }
        try await refuseNewerSchema()
        guard let view = try await plainJob(job) else { return .noSuchJob }
        let sequence = try await pointInTimeFold.sequence(
            of: moment ?? .sequence(view.snapshot.sequence), job, head: view.ledgerSequence)
        let explanation = try await pointInTimeFold.explanation(
            of: label, of: view, at: sequence, counting: policy, onlyUncounted: onlyUncounted, limit: limit,
            after: cursor)
        if let explanation { return .found(explanation) }
        return try await explainUnnamed(label, in: view, at: sequence)
    }

    /// The explanation of a label that no event up to a sequence names.
    ///
    /// Its units are 0 if a later event names the label.
    private func explainUnnamed(
        _ label: Name?, in view: JobView, at sequence: EventSequence
    ) async throws(StoreError) -> ExplanationResult {
        let isNamed = try await attempting("looking for a label") { () throws(PQError) in
            try await ExplainReader(pool: pool).isNamed(label, in: view.id)
        }
        guard isNamed else { return .noSuchIndicator }
        let nothing = IndicatorState(id: IndicatorID(sequence), label: label, updatedAt: view.createdAt)
        return .found(Explanation(sequence: sequence, indicator: nothing, entries: [], nextCursor: nil))
    }

    func pastDifference(
        _ job: JobID, from: PointInTime, to: PointInTime?, counting policy: CountingPolicy, limit: Int
    ) async throws(StoreError) -> SnapshotDiff? {
        try await refuseNewerSchema()
        guard let view = try await plainJob(job) else { return nil }
        let head = view.ledgerSequence
        let start = try await pointInTimeFold.sequence(of: from, job, head: head)
        let end = try await pointInTimeFold.sequence(of: to ?? .sequence(head), job, head: head)
        return try await pointInTimeFold.difference(
            in: view, from: start, to: max(start, end), counting: policy, limit: limit)
    }

    func pastHistory(_ job: JobID, _ label: Name?, points: Int) async throws(StoreError) -> HistoryResult {
        try await refuseNewerSchema()
        guard let view = try await plainJob(job) else { return .noSuchJob }
        let history = try await pointInTimeFold.history(
            of: label, of: view, through: view.ledgerSequence, points: points)
        return history.map { .found($0) } ?? .noSuchIndicator
    }

    func verification(of job: JobID, _ range: Verification.Range) async throws(StoreError) -> Verification? {
        try await refuseNewerSchema()
        return try await attempting("verifying a job") { () throws(PQError) in
            try await ChainReader(pool: pool).verify(job, range)
        }
    }

    public func heads(after cursor: JobID?, limit: Int) async throws(StoreError) -> [LedgerHead] {
        try await attempting("reading heads") { () throws(PQError) in
            try await ChainReader(pool: pool).heads(after: cursor, limit: limit)
        }
    }

    public func verdicts(_ job: JobID, _ sequences: ClosedRange<EventSequence>) async throws(StoreError) -> [Verdict?] {
        try await attempting("reading verdicts") { () throws(PQError) in
            try await eventReader.verdicts(job, sequences)
        }
    }

    public func status(
        of execution: Name, task: Name, in job: JobID, at sequence: EventSequence
    ) async throws(StoreError) -> ExecutionStatus? {
        try await attempting("reading an execution") { () throws(PQError) in
            try await eventReader.status(of: execution, task: task, in: job, at: sequence)
        }
    }

    public func newExecutionName() -> Name {
        // A UUIDv7, like the ids of jobs: unique by its random bits, and sorted by time.
        let id = JobID(createdAt: .now, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max))
        return Name(id.description)
    }
}
