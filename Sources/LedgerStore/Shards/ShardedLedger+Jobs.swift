public import Ledger

/// The operations about one job.
extension ShardedLedger {
    public func job(_ id: JobID) async throws(StoreError) -> JobView? {
        try await routed(id) { (ledger) throws(StoreError) in try await ledger.job(id) }
    }

    public func stampedJob(_ id: JobID) async throws(StoreError) -> StampedJob? {
        try await routed(id) { (ledger) throws(StoreError) in try await ledger.stampedJob(id) }
    }

    public func stampedJob(_ id: JobID, whenDone: @escaping @Sendable (Result<StampedJob?, StoreError>) -> Void) {
        lookUp(id, { $0.stampedJob($1, whenDone: $2) }, whenDone)
    }

    public func stamp(of id: JobID, whenDone: @escaping @Sendable (Result<SnapshotStamp?, StoreError>) -> Void) {
        lookUp(id, { $0.stamp(of: $1, whenDone: $2) }, whenDone)
    }

    /// Looks a job up without a task, if it is in the first shard to look at.
    private func lookUp<R: Sendable>(
        _ id: JobID,
        _ body:
            @escaping @Sendable (PostgresLedger, JobID, @escaping @Sendable (Result<R?, StoreError>) -> Void) -> Void,
        _ whenDone: @escaping @Sendable (Result<R?, StoreError>) -> Void
    ) {
        let first = location(of: id)
        let ledger: PostgresLedger
        do throws(StoreError) { ledger = try self.ledger(first) } catch { return whenDone(.failure(error)) }
        body(ledger, id) { [self] result in
            switch result {
            case .success(nil):
                Task(name: "shard-lookup") {
                    do throws(StoreError) {
                        guard let other = try await find(id, besides: first) else { return whenDone(.success(nil)) }
                        body(try self.ledger(other), id) { whenDone($0.mapError { $0.naming(shard: other) }) }
                    } catch { whenDone(.failure(error)) }
                }
            case .success: whenDone(result)
            case .failure(let error): whenDone(.failure(error.naming(shard: first)))
            }
        }
    }

    public func job(_ id: JobID, counting policy: CountingPolicy) async throws(StoreError) -> JobView? {
        try await routed(id) { (ledger) throws(StoreError) in try await ledger.job(id, counting: policy) }
    }

    public func job(
        _ id: JobID, at moment: PointInTime, counting policy: CountingPolicy
    ) async throws(StoreError) -> JobView? {
        try await routed(id) { (ledger) throws(StoreError) in
            try await ledger.job(id, at: moment, counting: policy)
        }
    }

    public func knownState(of job: JobID) -> JobState? { shards[location(of: job)]?.knownState(of: job) }

    public func waitUntilFolded(_ job: JobID, sequence: EventSequence, deadline: Duration) async throws(StoreError)
        -> Bool
    {
        try await wait(job, for: sequence, deadline: deadline, until: .folded)
    }

    public func waitForChange(_ job: JobID, after sequence: EventSequence, deadline: Duration) async throws(StoreError)
        -> Bool
    {
        try await wait(job, for: sequence + 1, deadline: deadline, until: .changed)
    }

    /// Waits for the snapshot of a job.
    ///
    /// The job may be moved during the wait.
    private func wait(
        _ job: JobID, for sequence: EventSequence, deadline: Duration, until purpose: PostgresLedger.Wait
    ) async throws(StoreError) -> Bool {
        let end = ContinuousClock.now + deadline
        var shard = location(of: job)
        var isElsewhere = true
        while true {
            let rest = ContinuousClock.now.duration(to: end)
            let endsIfMissing = isElsewhere
            let isReached = try await on(shard) { (ledger) throws(StoreError) in
                try await ledger.wait(
                    job, for: sequence, deadline: rest, until: purpose, endsIfMissing: endsIfMissing)
            }
            if let isReached { return isReached }
            guard rest > .zero, let next = try await find(job, besides: shard) else { return false }
            // A job that is there has lost its snapshot, and gets another one.
            isElsewhere = next != shard
            shard = next
        }
    }

    public func events(
        _ job: JobID, _ filter: EventFilter, after: EventSequence?, limit: Int
    ) async throws(StoreError) -> EventPage? {
        try await routed(job) { (ledger) throws(StoreError) in
            try await ledger.events(job, filter, after: after, limit: limit)
        }
    }

    public func tasks(
        _ job: JobID, _ filter: TaskFilter, at moment: PointInTime?, limit: Int, after cursor: TaskID?
    ) async throws(StoreError) -> TaskPage? {
        try await routed(job) { (ledger) throws(StoreError) in
            try await ledger.tasks(job, filter, at: moment, limit: limit, after: cursor)
        }
    }

    public func timeline(
        _ job: JobID, _ timeline: ExecutionTimeline, at moment: PointInTime?
    ) async throws(StoreError) -> ExecutionTimeline {
        try await home(of: job).timeline(job, timeline, at: moment)
    }

    public func explain(
        _ job: JobID, _ label: Name?, at moment: PointInTime?, counting policy: CountingPolicy, onlyUncounted: Bool,
        limit: Int, after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> ExplanationResult {
        try await route(
            job,
            isMissing: { result in if case .noSuchJob = result { true } else { false } }
        ) { (ledger) throws(StoreError) in
            try await ledger.explain(
                job, label, at: moment, counting: policy, onlyUncounted: onlyUncounted, limit: limit, after: cursor)
        }
    }

    public func difference(
        _ job: JobID, from: PointInTime, to: PointInTime?, counting policy: CountingPolicy, limit: Int
    ) async throws(StoreError) -> SnapshotDiff? {
        try await routed(job) { (ledger) throws(StoreError) in
            try await ledger.difference(job, from: from, to: to, counting: policy, limit: limit)
        }
    }

    public func history(_ job: JobID, _ label: Name?, points: Int) async throws(StoreError) -> HistoryResult {
        try await route(
            job,
            isMissing: { result in if case .noSuchJob = result { true } else { false } }
        ) { (ledger) throws(StoreError) in try await ledger.history(job, label, points: points) }
    }

    public func verify(_ job: JobID, _ range: Verification.Range) async throws(StoreError) -> Verification? {
        try await routed(job) { (ledger) throws(StoreError) in try await ledger.verify(job, range) }
    }

    public func retirement(of job: JobID) async throws(StoreError) -> Retirement? {
        try await home(of: job).retirement(of: job)
    }

    public func excerpt(
        _ job: JobID, after sequence: EventSequence, limit: Int
    ) async throws(StoreError) -> LedgerExcerpt? {
        try await routed(job) { (ledger) throws(StoreError) in
            try await ledger.excerpt(job, after: sequence, limit: limit)
        }
    }

    public func verdicts(_ job: JobID, _ sequences: ClosedRange<EventSequence>) async throws(StoreError) -> [Verdict?] {
        try await home(of: job).verdicts(job, sequences)
    }

    public func status(
        of execution: Name, task: Name, in job: JobID, at sequence: EventSequence
    ) async throws(StoreError) -> ExecutionStatus? {
        try await home(of: job).status(of: execution, task: task, in: job, at: sequence)
    }

    public func newExecutionName() -> Name { first.newExecutionName() }
}
