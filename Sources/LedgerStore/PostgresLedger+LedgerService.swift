internal import FoundationEssentials
public import Ledger
internal import PQ

extension PostgresLedger: LedgerService {
    /// How long at most a waiter goes without looking at the database, in case a hint got lost.
    private static let lookInterval: Duration = .milliseconds(500)
    /// The same for those who wait for any change, of whom there may be thousands, for half a minute each.
    private static let changeLookInterval: Duration = .seconds(5)

    public func createJob(_ description: JobDescription) async throws(StoreError) -> (view: JobView, created: Bool) {
        let outcome: JobCreator.Creation
        do throws(PQError) { outcome = try await creator.create(description) } catch {
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
            throw StoreError(.keyTaken, "job \(id) has this key, with another name or other tags", jobs: [id])
        case .existed(let id):
            return (try await existing(id), false)
        case .created(let new):
            appender.jobCreated(new)
            let view = try await existing(new.id)
            // Who watches a list of jobs hears of the new one.
            await snapshotsFolded([(new.id, view.snapshot.sequence)])
            return (view, true)
        }
    }

    private func existing(_ id: JobID) async throws(StoreError) -> JobView {
        guard let view = try await job(id) else {
            throw StoreError(.corrupt, "job \(id) was created and cannot be found", jobs: [id])
        }
        return view
    }

    public func job(_ id: JobID) async throws(StoreError) -> JobView? {
        try await stampedJob(id)?.view
    }

    public func stampedJob(_ id: JobID) async throws(StoreError) -> StampedJob? {
        do throws(PQError) { return try await snapshots.job(id) } catch {
            throw StoreError(error, while: "reading a job")
        }
    }

    public func stamp(of id: JobID, whenDone: @escaping @Sendable (Result<SnapshotStamp?, StoreError>) -> Void) {
        stamps.ask(id, whenDone: whenDone)
    }

    public func stampedJob(_ id: JobID, whenDone: @escaping @Sendable (Result<StampedJob?, StoreError>) -> Void) {
        sharedSnapshots.ask(id, whenDone: whenDone)
    }

    public func job(_ id: JobID, counting policy: CountingPolicy) async throws(StoreError) -> JobView? {
        switch policy {
        case .last: return try await job(id)
        case .all:
            do throws(PQError) { return try await snapshots.jobCountingAll(id) } catch {
                throw StoreError(error, while: "reading a job")
            }
        case .lastSuccessful:
            guard let view = try await job(id) else { return nil }
            return try await fold(view, through: view.snapshot.sequence, policy)
        }
    }

    public func job(
        _ id: JobID, at moment: PointInTime, counting policy: CountingPolicy
    ) async throws(StoreError) -> JobView? {
        guard let view = try await job(id) else { return nil }
        let sequence = try await folder.sequence(of: moment, id, head: view.ledgerSequence)
        return try await fold(view, through: sequence, policy)
    }

    private func fold(
        _ view: JobView, through sequence: Int64, _ policy: CountingPolicy
    ) async throws(StoreError) -> JobView {
        var then = view
        then.snapshot = try await folder.snapshot(of: view, at: sequence, counting: policy)
        return then
    }

    public func jobs(_ filter: JobFilter, limit: Int, after cursor: JobID?) async throws(StoreError) -> [JobView] {
        do throws(PQError) { return try await snapshots.jobs(filter, limit: limit, after: cursor) } catch {
            throw StoreError(error, while: "listing jobs")
        }
    }

    public func jobs(_ ids: [JobID]) async throws(StoreError) -> [JobView] {
        do throws(PQError) { return try await snapshots.jobs(ids) } catch {
            throw StoreError(error, while: "reading jobs")
        }
    }

    public func observeSnapshots(_ body: @escaping @Sendable (SnapshotHint) -> Void) -> SnapshotSubscription {
        hub.hearers.add(body)
    }

    public func append(_ drafts: [EventDraft], to job: JobID) async throws(StoreError) -> ClosedRange<Int64> {
        try await withCheckedContinuation { continuation in
            append(drafts, to: job) { continuation.resume(returning: $0) }
        }.get()
    }

    public func append(
        _ drafts: [EventDraft], to job: JobID,
        whenDone: @escaping @Sendable (Result<ClosedRange<Int64>, StoreError>) -> Void
    ) {
        appender.append(AppendRequest(parts: [AppendRequest.Part(job: job, drafts: drafts)])) { result in
            whenDone(
                result.flatMap { places in
                    places.first.map { .success($0.sequences) }
                        ?? .failure(StoreError(.corrupt, "an append of no events"))
                })
        }
    }

    public func append(
        _ entries: [(job: JobID, draft: EventDraft)]
    ) async throws(StoreError) -> [(job: JobID, sequences: ClosedRange<Int64>)] {
        var parts: [AppendRequest.Part] = []
        var indices: [JobID: Int] = [:]
        for (job, draft) in entries {
            if let index = indices[job] {
                parts[index].drafts.append(draft)
            } else {
                indices[job] = parts.count
                parts.append(AppendRequest.Part(job: job, drafts: [draft]))
            }
        }
        return try await appender.append(AppendRequest(parts: parts)).get()
    }

    public func waitUntilFolded(
        _ job: JobID, sequence: Int64, deadline: Duration
    ) async throws(StoreError) -> Bool {
        try await wait(job, for: sequence, deadline: deadline, lookingEvery: Self.lookInterval)
    }

    private func wait(
        _ job: JobID, for sequence: Int64, deadline: Duration, lookingEvery interval: Duration
    ) async throws(StoreError) -> Bool {
        let end = ContinuousClock.now + deadline
        while true {
            // Looked at first: what was folded before we wait tells nobody again.
            if try await checkpoint(of: job) >= sequence { return true }
            let rest = ContinuousClock.now.duration(to: end)
            guard rest > .zero, !Task.isCancelled else { return false }
            switch await hub.wait(job, for: sequence, atMost: min(rest, interval)) {
            case .reached: return true
            case .wasReached:
                if try await checkpoint(of: job) >= sequence { return true }
                await hub.invalidate(job)
            case .look: break
            }
        }
    }

    public func waitForChange(
        _ job: JobID, after sequence: Int64, deadline: Duration
    ) async throws(StoreError) -> Bool {
        try await wait(job, for: sequence + 1, deadline: deadline, lookingEvery: Self.changeLookInterval)
    }

    private func checkpoint(of job: JobID) async throws(StoreError) -> Int64 {
        do throws(PQError) {
            let rows = try await pool.query(
                Query("select sequence from ledger.snapshot where job_id = $1 and is_live", [.uuid(job.uuid)]))
            return try rows.first?.decode(0) ?? 0
        } catch {
            throw StoreError(error, while: "reading a snapshot")
        }
    }

    public func events(
        _ job: JobID, _ filter: EventFilter, after: Int64?, limit: Int
    ) async throws(StoreError) -> EventPage? {
        do throws(PQError) { return try await eventReader.events(job, filter, after: after, limit: limit) } catch {
            throw StoreError(error, while: "reading events")
        }
    }

    public func tasks(
        _ job: JobID, state: TaskState?, limit: Int, after cursor: Int64?
    ) async throws(StoreError) -> TaskPage? {
        do throws(PQError) {
            return try await TaskReader(pool: pool).tasks(job, state: state, limit: limit, after: cursor)
        } catch {
            throw StoreError(error, while: "reading tasks")
        }
    }

    public func tasks(
        _ job: JobID, at moment: PointInTime, state: TaskState?, limit: Int, after cursor: Int64?
    ) async throws(StoreError) -> TaskPage? {
        guard let view = try await self.job(job) else { return nil }
        let sequence = try await folder.sequence(of: moment, job, head: view.ledgerSequence)
        return try await folder.tasks(of: view, at: sequence, state: state, limit: limit, after: cursor)
    }

    public func explain(
        _ job: JobID, _ label: Name?, at moment: PointInTime?, counting policy: CountingPolicy, limit: Int,
        after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> ExplanationResult {
        if moment == nil, policy == .last {
            let outcome: ExplanationResult
            do throws(PQError) {
                outcome = try await ExplainReader(pool: pool).explain(job, label, limit: limit, after: cursor)
            } catch {
                throw StoreError(error, while: "explaining an indicator")
            }
            guard case .noSuchIndicator = outcome, let view = try await self.job(job) else { return outcome }
            return try await explainUnnamed(label, in: view, at: view.snapshot.sequence)
        }
        guard let view = try await self.job(job) else { return .noSuchJob }
        let sequence = try await folder.sequence(
            of: moment ?? .sequence(view.snapshot.sequence), job, head: view.ledgerSequence)
        let explanation = try await folder.explanation(
            of: label, of: view, at: sequence, counting: policy, limit: limit, after: cursor)
        if let explanation { return .found(explanation) }
        return try await explainUnnamed(label, in: view, at: sequence)
    }

    /// The explanation of a label that no event up to a sequence names: zeros if a later one does.
    private func explainUnnamed(
        _ label: Name?, in view: JobView, at sequence: Int64
    ) async throws(StoreError) -> ExplanationResult {
        do throws(PQError) {
            guard try await ExplainReader(pool: pool).isNamed(label, in: view.id) else { return .noSuchIndicator }
        } catch {
            throw StoreError(error, while: "looking for a label")
        }
        let nothing = IndicatorState(sequence: sequence, label: label, updatedAt: view.createdAt)
        return .found(Explanation(sequence: sequence, indicator: nothing, entries: [], nextCursor: nil))
    }

    public func difference(
        _ job: JobID, from: PointInTime, to: PointInTime?, counting policy: CountingPolicy, limit: Int
    ) async throws(StoreError) -> SnapshotDiff? {
        guard let view = try await self.job(job) else { return nil }
        let head = view.ledgerSequence
        let start = try await folder.sequence(of: from, job, head: head)
        let end = try await folder.sequence(of: to ?? .sequence(head), job, head: head)
        return try await folder.difference(
            in: view, from: start, to: max(start, end), counting: policy, limit: limit)
    }

    public func curve(_ job: JobID, _ label: Name?, points: Int) async throws(StoreError) -> HistoryResult {
        guard let view = try await self.job(job) else { return .noSuchJob }
        let curve = try await folder.curve(of: label, of: view, through: view.ledgerSequence, points: points)
        return curve.map { .found($0) } ?? .noSuchIndicator
    }

    public func verify(_ job: JobID, _ stretch: Verification.Range) async throws(StoreError) -> Verification? {
        do throws(PQError) { return try await ChainReader(pool: pool).verify(job, stretch) } catch {
            throw StoreError(error, while: "verifying a job")
        }
    }

    public func heads(after cursor: JobID?, limit: Int) async throws(StoreError) -> [LedgerHead] {
        do throws(PQError) { return try await ChainReader(pool: pool).heads(after: cursor, limit: limit) } catch {
            throw StoreError(error, while: "reading heads")
        }
    }

    public func verdicts(_ job: JobID, _ sequences: ClosedRange<Int64>) async throws(StoreError) -> [Verdict?] {
        do throws(PQError) { return try await eventReader.verdicts(job, sequences) } catch {
            throw StoreError(error, while: "reading verdicts")
        }
    }

    public func standing(
        of execution: Name, task: Name, in job: JobID, at sequence: Int64
    ) async throws(StoreError) -> ExecutionStatus? {
        do throws(PQError) {
            return try await eventReader.standing(of: execution, task: task, in: job, at: sequence)
        } catch {
            throw StoreError(error, while: "reading an execution")
        }
    }

    public func newExecutionName() -> Name {
        // A UUIDv7, as ids of jobs are: unique by its random bits, and names sort by time.
        let now = Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
        let id = JobID(createdAt: now, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max))
        return Name(id.description)
    }
}
