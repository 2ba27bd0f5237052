internal import Ledger
internal import PQ
internal import Synchronization

/// Tells what was known of a job at any sequence, by any policy, by folding its events from the first one on.
///
/// Costs by the events up to there, about a million a second for a job of few tasks and half as many for one of a hundred
/// thousand, and memory by the job's executions; so there is a limit to what is folded at the same time.
final class PointInTimeFold: Sendable {
    /// How many histories are folded at the same time.
    static let atOnceMax = 4
    /// How many executions they may have together: some 1.3 kB each. One job of more is folded when it is alone.
    static let executionsMax: Int64 = 200_000

    private struct UnderWay {
        var histories = 0
        var executions: Int64 = 0
    }

    private let pool: Pool
    private let underWay = Mutex(UnderWay())

    init(pool: Pool) {
        self.pool = pool
    }

    /// The snapshot of events 1 to `sequence`.
    ///
    /// - Throws: ``StoreError/Code/overloaded`` where too much is being folded already.
    func snapshot(
        of job: JobView, at sequence: Int64, counting policy: CountingPolicy
    ) async throws(StoreError) -> Snapshot {
        try await withAdmission(job) { () async throws(StoreError) in
            try await fold(job.id, through: sequence).snapshot(policy)
        }
    }

    /// A page of the tasks of events 1 to `sequence`.
    func tasks(
        of job: JobView, at sequence: Int64, state: TaskState?, limit: Int, after cursor: Int64?
    ) async throws(StoreError) -> TaskPage {
        try await withAdmission(job) { () async throws(StoreError) in
            let (tasks, hasMore) = try await fold(job.id, through: sequence)
                .taskSummaries(in: state, limit: limit, after: cursor ?? 0)
            return TaskPage(
                sequence: sequence, tasks: tasks, nextCursor: hasMore ? tasks.last?.firstSequence : nil)
        }
    }

    /// Why the snapshot of events 1 to `sequence` shows what it shows.
    func explanation(
        of label: Name?, of job: JobView, at sequence: Int64, counting policy: CountingPolicy, limit: Int,
        after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> Explanation? {
        try await withAdmission(job) { () async throws(StoreError) in
            try await fold(job.id, through: sequence)
                .explanation(of: label, counting: policy, limit: limit, after: cursor)
        }
    }

    /// What happened after event `from`, up to event `to`.
    func difference(
        in job: JobView, from: Int64, to: Int64, counting policy: CountingPolicy, limit: Int
    ) async throws(StoreError) -> SnapshotDiff {
        try await withAdmission(job) { () async throws(StoreError) in
            var fold = try await fold(job.id, through: from)
            var recorder = SnapshotDiffRecorder(from: fold, counting: policy, limit: limit)
            try await EventCursor(pool: pool).read(job.id, after: from, through: to) { events in
                for event in events { recorder.note(event, try fold.apply(event), in: fold) }
            }
            return recorder.difference(to: fold)
        }
    }

    /// How an indicator came to its numbers, through event `sequence`; nil where no event has named it.
    func curve(
        of label: Name?, of job: JobView, through sequence: Int64, points: Int
    ) async throws(StoreError) -> IndicatorHistory? {
        try await withAdmission(job) { () async throws(StoreError) in
            var fold = Fold(tracksChanges: false)
            var recorder = IndicatorHistoryRecorder(label, points: points)
            try await EventCursor(pool: pool).read(job.id, after: 0, through: sequence) { events in
                for event in events { recorder.note(event, try fold.apply(event), in: fold) }
            }
            return recorder.curve(through: fold)
        }
    }

    private func fold(_ job: JobID, through end: Int64) async throws(StoreError) -> Fold {
        var fold = Fold(tracksChanges: false)
        try await EventCursor(pool: pool).read(job, after: 0, through: end) { events in
            for event in events { try fold.apply(event) }
        }
        return fold
    }

    // MARK: What may be folded at the same time

    private func withAdmission<R>(
        _ job: JobView, _ body: () async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        // The snapshot may be behind or missing. Each event that it lacks begins at most one execution.
        let executions = job.snapshot.tasks.executions + max(0, job.ledgerSequence - job.snapshot.sequence)
        let mayBegin = underWay.withLock { underWay in
            guard underWay.histories == 0 || underWay.executions + executions <= Self.executionsMax,
                underWay.histories < Self.atOnceMax
            else { return false }
            underWay.histories += 1
            underWay.executions += executions
            return true
        }
        guard mayBegin else {
            throw StoreError(.overloaded, "too many histories are being folded already", retryAfter: .seconds(1))
        }
        defer {
            underWay.withLock { underWay in
                underWay.histories -= 1
                underWay.executions -= executions
            }
        }
        return try await body()
    }

    // MARK: Moments

    /// The sequence that a moment means, of a job whose last event is `head`.
    func sequence(of moment: PointInTime, _ job: JobID, head: Int64) async throws(StoreError) -> Int64 {
        switch moment {
        case .sequence(let sequence): min(max(0, sequence), head)
        case .time(let time): try await lastSequence(of: job, head: head, recordedUntil: time)
        }
    }

    /// The last event of a job that was recorded at this time or before; 0 where there is none. Times never go backwards
    /// within a job, so halving the way finds it: some twenty lookups for a million events.
    private func lastSequence(
        of job: JobID, head: Int64, recordedUntil moment: Timestamp
    ) async throws(StoreError) -> Int64 {
        var (low, high) = (Int64(0), head)
        while low < high {
            let middle = high - (high - low) / 2
            guard let recordedAt = try await recordedAt(middle, job) else {
                throw StoreError(.incomplete, "event \(middle) of job \(job) is not there any more", jobs: [job])
            }
            if recordedAt <= moment { low = middle } else { high = middle - 1 }
        }
        return low
    }

    private func recordedAt(_ sequence: Int64, _ job: JobID) async throws(StoreError) -> Timestamp? {
        do throws(PQError) {
            let rows = try await pool.query(
                Query(
                    "select recorded_at from ledger.event where job_id = $1 and sequence = $2",
                    [.uuid(job.uuid), .int8(sequence)]))
            return try rows.first?.timestamp(0)
        } catch {
            throw StoreError(error, while: "looking for a moment in a history")
        }
    }
}
