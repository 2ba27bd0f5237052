internal import Ledger
internal import LedgerStore
internal import PQ

/// Folds jobs in memory and checks whether their live projections are equal.
///
/// Nearly all live projections are equal, and then nothing needs to be stored for a comparison. A job that differs,
/// cannot be read or does not fit into memory is not passed to `onMatch`; ``ReplayBuilder`` builds and stores it, and
/// ``ProjectionComparisonStatements`` names the differences.
struct FoldVerification: Sendable {
    let pool: Pool
    let settings: ReplaySettings
    let largeJobLock: LargeJobLock

    /// The longest time of a transaction that compares projections.
    static let comparisonDeadline: Duration = .seconds(300)

    /// The folded jobs exceed the memory limit.
    struct MemoryLimitExceeded: Error {}

    /// A job to fold.
    struct Candidate: Sendable {
        let job: ReplayCheckpoints.Job
        /// The number of the live projection.
        let live: Int16
        /// The progress in its snapshot.
        let progress: JobProgress
        /// The state of its estimates; nil if it must first be built.
        let estimate: [UInt8]?
    }

    /// The result of folding a candidate.
    struct FoldedJob: Sendable {
        let changes: FoldChanges
        /// The state of its estimates.
        let estimate: EstimateState
    }

    /// Folds and compares the jobs.
    ///
    /// Jobs that do not fit into memory together are verified in parts.
    ///
    /// - Parameters:
    ///   - onMatch: Receives the jobs with equal live projections, with their complete states. It is called once for
    ///     each group of jobs that were folded together. For a job that takes the ``LargeJobLock``, the lock is held
    ///     during the call. Its errors end the verification.
    ///   - onProgress: Called with the sequence up to which a job that is folded alone has been read.
    func verify(
        _ jobs: [ReplayCheckpoints.Job], onMatch: ([StateChanges.JobChanges]) async throws -> Void,
        onProgress: (ReplayCheckpoints.Job, EventSequence) async throws -> Void
    ) async throws {
        let matching: [StateChanges.JobChanges]
        do {
            matching = try await matches(among: jobs, bytesMax: settings.bytesInMemoryMax, onProgress)
        } catch is MemoryLimitExceeded where jobs.count == 1 {
            return try await largeJobLock.withLargeJob { try await verifyAlone(jobs, onMatch, onProgress) }
        } catch  where Self.isCausedByJobs(error) {
            // Verify the halves separately, until the job that causes the failure is alone. If it is too large, it is
            // caught above; otherwise the builder gets it.
            guard jobs.count > 1 else { return }
            let half = jobs.count / 2
            for part in [jobs[..<half], jobs[half...]] {
                try await verify(Array(part), onMatch: onMatch, onProgress: onProgress)
            }
            return
        }
        if !matching.isEmpty { try await onMatch(matching) }
    }

    /// Verifies one job that exceeds the usual memory limit.
    private func verifyAlone(
        _ jobs: [ReplayCheckpoints.Job], _ onMatch: ([StateChanges.JobChanges]) async throws -> Void,
        _ onProgress: (ReplayCheckpoints.Job, EventSequence) async throws -> Void
    ) async throws {
        let matching: [StateChanges.JobChanges]
        do {
            matching = try await matches(among: jobs, bytesMax: settings.largeJobBytesMax, onProgress)
        } catch  where Self.isCausedByJobs(error) {
            return
        }
        if !matching.isEmpty { try await onMatch(matching) }
    }

    /// Returns whether the jobs caused a failure, and not the database.
    private static func isCausedByJobs(_ error: any Error) -> Bool {
        switch error {
        case let error as StoreError: error.code == .incomplete || error.code == .corrupt
        case let error as PQError: error.code == .decoding
        default: error is FoldStateError || error is MemoryLimitExceeded
        }
    }

    /// The planner settings for reading the events of many jobs.
    ///
    /// The planner expects a few events of each job, and chooses a bitmap scan with a sort. Reading them in the order
    /// of their index takes half the time. JIT compilation costs more than it saves.
    private static let planning = Query(
        """
        select set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),
            set_config('jit', 'off', true)
        """)

    /// Returns those of the jobs that have equal live projections.
    ///
    /// It reads the events and the live projections in one view of the database, and folds up to the sequence of each
    /// live projection. So both sides match, and nothing needs to be locked.
    private func matches(
        among jobs: [ReplayCheckpoints.Job], bytesMax: Int,
        _ onProgress: (ReplayCheckpoints.Job, EventSequence) async throws -> Void
    ) async throws -> [StateChanges.JobChanges] {
        try await pool.withTransaction(isolation: .repeatableRead, readOnly: true, deadline: Self.comparisonDeadline) {
            transaction in
            _ = try await transaction.query(Self.planning)
            let candidates = try await candidates(of: jobs, &transaction)
            guard !candidates.isEmpty else { return [] }
            // The live snapshots usually show in advance which jobs will not fit.
            let bytes = candidates.map(\.progress.tasks).reduce(0) { sum, tasks in
                // A damaged snapshot may contain any number.
                let (tasks, executions) = (min(tasks.total, 1 << 32), min(tasks.executions, 1 << 32))
                return sum + Fold.memoryEstimate(tasks: Int(tasks), executions: Int(executions))
            }
            guard bytes <= bytesMax else { throw MemoryLimitExceeded() }
            let folded = try await foldJobs(candidates, bytesMax: bytesMax, &transaction, onProgress)
            var comparison = FoldComparison(candidates: candidates, folded: folded)
            try await comparison.compare(&transaction)
            return candidates.indices.compactMap { index in
                let (candidate, folded) = (candidates[index], folded[index])
                // Nil if the live projection has no state of estimates yet; that is no difference.
                guard comparison.isEqual[index],
                    candidate.estimate == nil || candidate.estimate == folded.estimate.encoded
                else { return nil }
                return StateChanges.JobChanges(
                    job: candidate.job.id, projection: candidate.job.projection, previousSequence: .start,
                    changes: folded.changes, estimate: folded.estimate,
                    eventCount: folded.changes.progress.sequence - .start)
            }
        }
    }

    /// Reads the live projections of the jobs that can be verified.
    ///
    /// A job that an interrupted attempt has begun to store is left out; the builder continues it.
    private func candidates(
        of jobs: [ReplayCheckpoints.Job], _ transaction: inout Transaction
    ) async throws(PQError) -> [Candidate] {
        let rows = try await transaction.query(
            Query(
                """
                select live.job_id, \(SnapshotRecord.record(of: "live"))
                from unnest($1::uuid[], $2::smallint[]) with ordinality as requested (job_id, projection, number)
                join ledger.snapshot as live on live.job_id = requested.job_id and live.is_live
                where not exists (
                    select from ledger.snapshot as built
                    where built.job_id = requested.job_id and built.projection = requested.projection and built.sequence > 0
                )
                order by requested.number
                """, [.uuids(jobs.map(\.id.uuid)), .int2s(jobs.map(\.projection))]))
        let byID = Dictionary(uniqueKeysWithValues: jobs.map { ($0.id, $0) })
        var snapshots = RecordReader()
        var candidates: [Candidate] = []
        for row in rows {
            guard let job = byID[try row.decode(0, as: JobID.self)] else { continue }
            try snapshots.read(row, 1) { record throws(PQError) in
                let live = try SnapshotRecord(&record)
                candidates.append(
                    Candidate(job: job, live: live.projection, progress: live.progress, estimate: live.estimate))
            }
        }
        return candidates
    }

    private func foldJobs(
        _ candidates: [Candidate], bytesMax: Int, _ transaction: inout Transaction,
        _ onProgress: (ReplayCheckpoints.Job, EventSequence) async throws -> Void
    ) async throws -> [FoldedJob] {
        let fold = JobSequenceFold(jobs: candidates.count, bytesMax: bytesMax)
        if candidates.count == 1, let candidate = candidates.first {
            var position = EventSequence.start
            while position < candidate.progress.sequence {
                let partEnd = min(candidate.progress.sequence, position + settings.eventsPerStoreMax)
                let part = EventCursor.Part(candidate.job.id, after: position, through: partEnd)
                try await EventCursor.read([part], in: &transaction, fold.apply)
                position = partEnd
                // ``ReplayReporter/finish(_:)`` reports the end of the job.
                if position < candidate.progress.sequence { try await onProgress(candidate.job, position) }
            }
        } else {
            let parts = candidates.map { EventCursor.Part($0.job.id, after: .start, through: $0.progress.sequence) }
            try await EventCursor.read(parts, in: &transaction, fold.apply)
        }
        return try fold.finish()
    }

    /// A fold of several jobs, one after the other.
    private final class JobSequenceFold {
        private let jobs: Int
        private let bytesMax: Int
        private var fold = Fold(tracksChanges: false)
        private var estimate = EstimateState()
        private var folded: [FoldedJob] = []
        private var foldedBytes = 0

        init(jobs: Int, bytesMax: Int) {
            self.jobs = jobs
            self.bytesMax = bytesMax
        }

        func apply(_ jobIndex: Int, _ event: Event) throws {
            // Events arrive job by job. This finishes the previous job, and jobs without events.
            while folded.count < jobIndex { try finishJob() }
            try estimate.apply(event, to: &fold)
            // Checked every 256 events, because an event adds a few hundred bytes.
            if event.sequence.number & 0xFF == 0, foldedBytes + foldBytes > bytesMax { throw MemoryLimitExceeded() }
        }

        /// The approximate memory of the present job.
        private var foldBytes: Int { fold.memoryEstimate + estimate.memoryEstimate }

        func finish() throws -> [FoldedJob] {
            while folded.count < jobs { try finishJob() }
            return folded
        }

        private func finishJob() throws {
            foldedBytes += foldBytes
            guard foldedBytes <= bytesMax else { throw MemoryLimitExceeded() }
            folded.append(FoldedJob(changes: try fold.allState(), estimate: estimate))
            fold = Fold(tracksChanges: false)
            estimate = EstimateState()
        }
    }
}
