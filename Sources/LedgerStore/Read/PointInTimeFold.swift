internal import Ledger
internal import PQ
internal import Synchronization

/// Folds a job's events from the first one to any sequence, under any policy.
///
/// The time depends on the number of events: about a million per second for a job with few tasks, half as many for one
/// with a hundred thousand. A ``FoldCache`` keeps states, from which later folds of the job continue. The memory
/// depends on the job's executions, so the concurrent folds are limited.
final class PointInTimeFold: Sendable {
    /// The maximum number of concurrent folds.
    static let concurrentMax = 4
    /// The maximum number of executions in all concurrent folds, some 1.3 kB each.
    ///
    /// A job with more executions is folded if no other fold is in progress.
    static let executionsMax: Int64 = 200_000

    private struct Load {
        var histories = 0
        var executions: Int64 = 0
    }

    private let pool: Pool
    private let load = Mutex(Load())
    /// The states from which folds continue.
    let cache: FoldCache

    init(pool: Pool, cache: FoldCache = FoldCache()) {
        self.pool = pool
        self.cache = cache
    }

    /// Returns the snapshot of events 1 to `sequence`.
    ///
    /// - Throws: ``StoreError/Code/overloaded`` if too much is being folded.
    func snapshot(
        of job: JobView, at sequence: EventSequence, counting policy: CountingPolicy
    ) async throws(StoreError) -> Snapshot {
        try await withAdmission(job) { () async throws(StoreError) in
            try await state(of: job.id, at: sequence).fold.snapshot(policy)
        }
    }

    /// A past snapshot with the inputs of its estimate.
    struct Past {
        let snapshot: Snapshot
        let state: EstimateState
        let tasks: EstimateReader.PastTasks
        /// Returns a page of the tasks.
        ///
        /// Its arguments are the filter, the silent executions, the time until which running executions have taken, the
        /// maximum number, and the task after which the page begins.
        let taskPage: @Sendable (TaskFilter, SilentExecutions, Timestamp, Int, TaskID?) -> TaskPage
    }

    /// Returns the snapshot of events 1 to `sequence` with the inputs of its estimate.
    func past(of job: JobView, at sequence: EventSequence) async throws(StoreError) -> Past {
        try await withAdmission(job) { () async throws(StoreError) in
            let state = try await state(of: job.id, at: sequence)
            let fold = state.fold
            return Past(
                snapshot: fold.snapshot(), state: state.estimate,
                tasks: EstimateReader.PastTasks(started: fold.startedTasks) { fold.taskName(of: $0) },
                taskPage: { filter, silence, now, limit, cursor in
                    let (tasks, hasMore) = fold.taskSummaries(
                        filter, silence: silence, now: now, limit: limit, after: cursor)
                    return TaskPage(
                        sequence: sequence, tasks: tasks, nextCursor: hasMore ? tasks.last?.id : nil)
                })
        }
    }

    /// Adds the executions of the snapshot of events 1 to `sequence` to a timeline.
    func timeline(
        _ timeline: ExecutionTimeline, of job: JobView, at sequence: EventSequence
    ) async throws(StoreError) -> ExecutionTimeline {
        try await withAdmission(job) { () async throws(StoreError) in
            let fold = try await state(of: job.id, at: sequence).fold
            return await ComputeThreads.run { fold.timeline(timeline) }
        }
    }

    /// Explains an indicator of the snapshot of events 1 to `sequence`.
    func explanation(
        of label: Name?, of job: JobView, at sequence: EventSequence, counting policy: CountingPolicy,
        onlyUncounted: Bool,
        limit: Int, after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> Explanation? {
        try await withAdmission(job) { () async throws(StoreError) in
            try await state(of: job.id, at: sequence).fold.explanation(
                of: label, counting: policy, onlyUncounted: onlyUncounted, limit: limit, after: cursor)
        }
    }

    /// Returns the changes after event `from`, up to event `to`.
    func difference(
        in job: JobView, from: EventSequence, to: EventSequence, counting policy: CountingPolicy, limit: Int
    ) async throws(StoreError) -> SnapshotDiff {
        try await withAdmission(job) { () async throws(StoreError) in
            var fold = try await state(of: job.id, at: from).fold
            var recorder = SnapshotDiffRecorder(from: fold, counting: policy, limit: limit)
            try await EventCursor(pool: pool).read(job.id, after: from, through: to) { events in
                for event in events { recorder.record(event, try fold.apply(event), in: fold) }
            }
            return recorder.difference(to: fold)
        }
    }

    /// Returns the history of an indicator, or `nil` if no event has named it.
    func history(
        of label: Name?, of job: JobView, through sequence: EventSequence, points: Int
    ) async throws(StoreError) -> IndicatorHistory? {
        try await withAdmission(job) { () async throws(StoreError) in
            var fold = Fold(tracksChanges: false)
            var recorder = IndicatorHistoryRecorder(label, points: points)
            try await EventCursor(pool: pool).read(job.id, after: 0, through: sequence) { events in
                for event in events { recorder.record(event, try fold.apply(event), in: fold) }
            }
            return recorder.history(through: fold)
        }
    }

    // MARK: States

    /// Returns the state after event `end`.
    ///
    /// Continues from a kept state, and keeps the states on the way.
    private func state(of job: JobID, at end: EventSequence) async throws(StoreError) -> FoldCache.State {
        var state = FoldCache.State()
        if let (known, hash) = cache.state(of: job, upTo: end) {
            // After a failover that lost events, or in a restored database, a sequence may be that of another event.
            if try await hashes(of: job, [known.sequence])[known.sequence] == hash {
                state = known
            } else {
                cache.remove(job)
            }
        }
        guard state.sequence < end else { return state }
        let distance = cache.distance(of: job)
        let kept =
            Array(
                stride(
                    from: EventSequence((state.sequence.number / distance + 1) * distance), to: end, by: Int(distance)))
            + [end]
        let before = try await hashes(of: job, kept)
        var (fold, estimate) = (state.fold, state.estimate)
        var states: [FoldCache.State] = []
        try await EventCursor(pool: pool).read(job, after: state.sequence, through: end) { events in
            for event in events {
                try estimate.apply(event, to: &fold)
                guard event.sequence == kept[states.count] else { continue }
                states.append(FoldCache.State(sequence: event.sequence, fold: fold, estimate: estimate))
            }
        }
        // The hash of an event covers all earlier events. If it is the same before and after, so is the history.
        let after = try await hashes(of: job, kept)
        let proven = states.compactMap { state in
            after[state.sequence].flatMap { before[state.sequence] == $0 ? (state: state, hash: $0) : nil }
        }
        cache.insert(proven, of: job)
        return FoldCache.State(sequence: end, fold: fold, estimate: estimate)
    }

    /// Reads the hashes of some events, by sequence. One query.
    private func hashes(of job: JobID, _ sequences: [EventSequence]) async throws(StoreError) -> [EventSequence:
        EventHash]
    {
        try await attempting("reading hashes of events") { () throws(PQError) in
            let query = Query(
                """
                select event.sequence, event.hash
                from unnest($2::bigint[]) as requested (sequence)
                cross join lateral (
                    select found.sequence, found.hash from ledger.event as found
                    where found.job_id = $1 and found.sequence = requested.sequence
                    limit 1
                ) as event
                """, [.uuid(job.uuid), .sequences(sequences)])
            var hashes: [EventSequence: EventHash] = [:]
            for row in try await pool.query(query) {
                hashes[try row.decode(0, as: EventSequence.self)] = try row.decode(1, as: EventHash.self)
            }
            return hashes
        }
    }

    // MARK: Admission

    private func withAdmission<R>(
        _ job: JobView, _ body: () async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        // The snapshot may be behind or missing. Each event that it lacks starts at most one execution.
        let executions = job.snapshot.tasks.executions + Int64(max(0, job.ledgerSequence - job.snapshot.sequence))
        let isAdmitted = load.withLock { load in
            guard load.histories == 0 || load.executions + executions <= Self.executionsMax,
                load.histories < Self.concurrentMax
            else { return false }
            load.histories += 1
            load.executions += executions
            return true
        }
        guard isAdmitted else {
            throw StoreError(
                .overloaded, "too many histories are being folded; try again later", retryAfter: .seconds(1))
        }
        defer {
            load.withLock { load in
                load.histories -= 1
                load.executions -= executions
            }
        }
        return try await body()
    }

    // MARK: Points in time

    /// Returns the sequence of a point in time, for a job with this last event.
    func sequence(of moment: PointInTime, _ job: JobID, head: EventSequence) async throws(StoreError) -> EventSequence {
        switch moment {
        case .sequence(let sequence): min(max(0, sequence), head)
        case .time(let time): try await lastSequence(of: job, head: head, recordedUntil: time)
        }
    }

    /// Returns the last event recorded at this time or before, or 0 without one.
    ///
    /// Times never decrease within a job, so a binary search finds it: about twenty lookups for a million events, in
    /// one statement.
    private func lastSequence(
        of job: JobID, head: EventSequence, recordedUntil moment: Timestamp
    ) async throws(StoreError) -> EventSequence {
        let (low, high) = try await attempting("looking for a moment in a history") { () throws(PQError) in
            let rows = try await pool.query(
                Query(Self.search, [.uuid(job.uuid), .sequence(head), .timestamp(moment)]))
            guard let row = rows.first else { throw PQError(.decoding, "the search for a moment has no result") }
            return (try row.decode(0, as: EventSequence.self), try row.decode(1, as: EventSequence.self))
        }
        guard low == high else {
            throw StoreError(
                .incomplete, "event \(high - (high - low) / 2) of job \(job) is missing", jobs: [job])
        }
        return low
    }

    /// The statement that searches for the last event of a job up to a time.
    ///
    /// Each round halves the range that contains the event. A missing event ends the search early, and then the two
    /// ends of the range differ. The limit makes each lookup one search in the index, whatever the planner expects.
    /// Tests check its plan.
    static let search = """
        with recursive search (low, high) as (
            select 0::bigint, $2::bigint
            union all
            select
                case when middle.recorded_at <= $3 then middle.sequence else search.low end,
                case when middle.recorded_at <= $3 then search.high else middle.sequence - 1 end
            from search
            cross join lateral (
                select found.sequence, found.recorded_at
                from ledger.event as found
                where found.job_id = $1 and found.sequence = search.high - (search.high - search.low) / 2
                limit 1
            ) as middle
            where search.low < search.high
        )
        select low, high
        from search
        order by high - low
        limit 1
        """
}
