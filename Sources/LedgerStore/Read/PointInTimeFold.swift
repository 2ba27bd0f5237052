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
        let taskPage: @Sendable (TaskFilter, JobSilence, Timestamp, Int, TaskID?) -> TaskPage
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

    /// The maximum number of folds for one answer.
    ///
    /// A fold begins again if the job gets another history meanwhile: after a failover that lost events, or a restore.
    private static let attemptsMax = 3

    /// Returns the state after event `end`.
    ///
    /// Continues from a kept state, and keeps the states on the way. They stay if the caller gives up, so that the next
    /// question about the job continues from there.
    private func state(of job: JobID, at end: EventSequence) async throws(StoreError) -> FoldCache.State {
        for _ in 0..<Self.attemptsMax {
            if let state = try await fold(job, to: end) { return state }
            cache.remove(job)
        }
        throw StoreError(
            .unavailable, "the history of job \(job) changes while it is read; try again", jobs: [job],
            retryAfter: .seconds(1))
    }

    /// Folds a job from the nearest kept state to event `end`.
    ///
    /// It stops at each checkpoint.
    ///
    /// The hash of an event covers all earlier events. If it is the same before and after they are read, they are those
    /// of one history.
    ///
    /// - Returns: nil if the job has another history than the kept state, or than at the beginning.
    private func fold(_ job: JobID, to end: EventSequence) async throws(StoreError) -> FoldCache.State? {
        let start = cache.start(of: job, upTo: end)
        var next = nextCheckpoint(of: job, after: start?.sequence ?? 0, upTo: end)
        let expected = start?.hashes ?? [:]
        var hashes = try await hashes(of: job, expected.keys + [next])
        guard expected.allSatisfy({ hashes[$0.key] == $0.value }) else { return nil }
        var checkpoint = start?.checkpoint
        var state = FoldCache.State()
        if let start {
            state = try await Self.computing(job) { () throws(FoldStateError) in try start.state() }
        }
        while state.sequence < end {
            let hash = hashes[next]
            try await apply(job, to: &state, through: next)
            next = nextCheckpoint(of: job, after: state.sequence, upTo: end)
            hashes = try await self.hashes(of: job, [state.sequence, next])
            guard let hash, hashes[state.sequence] == hash else { return nil }
            if state.sequence.number.isMultiple(of: cache.distance(of: job)) {
                let made = await ComputeThreads.run {
                    FoldCheckpoint(state.fold, state.estimate, after: checkpoint)
                }
                cache.insert(made, hash, of: job)
                checkpoint = made
            }
            if state.sequence == end { cache.insert(state, hash, of: job) }
        }
        return state
    }

    /// The next event after which a state is kept.
    private func nextCheckpoint(
        of job: JobID, after sequence: EventSequence, upTo end: EventSequence
    ) -> EventSequence {
        let distance = cache.distance(of: job)
        return min(end, EventSequence((sequence.number / distance + 1) * distance))
    }

    /// Reads events and folds them.
    private func apply(
        _ job: JobID, to state: inout FoldCache.State, through end: EventSequence
    ) async throws(StoreError) {
        // Of parts of the state in a closure, copies would be changed.
        var (fold, estimate) = (state.fold, state.estimate)
        let start = state.sequence
        state = FoldCache.State()
        try await EventCursor(pool: pool).read(job, after: start, through: end) { events in
            for event in events { try estimate.apply(event, to: &fold) }
        }
        state = FoldCache.State(sequence: end, fold: fold, estimate: estimate)
    }

    private static func computing<R>(
        _ job: JobID, _ body: () throws(FoldStateError) -> R
    ) async throws(StoreError) -> R {
        do throws(FoldStateError) {
            return try await ComputeThreads.run(body)
        } catch {
            throw StoreError(.corrupt, "restoring a state of job \(job): \(error)", jobs: [job], cause: error)
        }
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
