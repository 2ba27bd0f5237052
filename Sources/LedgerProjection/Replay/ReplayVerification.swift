internal import Ledger
internal import LedgerStore
internal import PQ

/// Folds all events of jobs in memory and looks whether the live projections say the same, without storing anything.
///
/// Nearly always they do, and then there is nothing else to find out. A job of which anything is not equal, or cannot be
/// read, or does not fit into memory, is none of those that are returned: it is for the way that stores what it builds
/// (``ReplayBuilder``) and can name the differences (``ReplayComparison``).
struct ReplayVerification: Sendable {
    let pool: Pool
    let settings: ReplaySettings
    let memory: ReplayBudget

    /// What is folded takes more memory than it may.
    struct IsTooLarge: Error {}

    /// A job that is to be folded.
    struct Location: Sendable {
        let job: ReplayCheckpoints.Job
        /// The projection that is live, and what its snapshot says.
        let live: Int16
        let progress: JobProgress
    }

    /// - Parameters:
    ///   - store: Takes what a large job amounts to before another one has its turn, and what some of the jobs amount to
    ///     where all of them do not fit together; these are not returned.
    ///   - note: Told how many events of a large job have been folded; of some perhaps more than once.
    /// - Returns: The jobs whose live projections are what their events amount to, with all of that.
    func run(
        _ jobs: [ReplayCheckpoints.Job], storingParts store: ([StateChanges.OfJob]) async throws -> Void,
        _ note: (Int64) async throws -> Void = { _ in }
    ) async throws -> [StateChanges.OfJob] {
        do {
            return try await run(jobs, bytesMax: settings.bytesInMemoryMax, note)
        } catch is IsTooLarge where jobs.count == 1 {
            try await memory.withLargeJob {
                let equal: [StateChanges.OfJob]
                do {
                    equal = try await run(jobs, bytesMax: settings.bytesOfLargeJobMax, note)
                } catch  where Self.isOfJobs(error) {
                    equal = []
                }
                try await store(equal)
            }
            return []
        } catch  where Self.isOfJobs(error) {
            guard jobs.count > 1 else { return [] }
            // They do not fit together, or one of them is in the way: the others are found without it.
            let half = jobs.count / 2
            for part in [jobs[..<half], jobs[half...]] {
                try await store(try await run(Array(part), storingParts: store, note))
            }
            return []
        }
    }

    /// Whether it is the jobs that cannot be folded, and not the database that cannot be asked.
    private static func isOfJobs(_ error: any Error) -> Bool {
        switch error {
        case let error as StoreError: error.code == .incomplete || error.code == .corrupt
        case let error as PQError: error.code == .decoding
        default: error is FoldStateError || error is IsTooLarge
        }
    }

    /// Of many jobs PostgreSQL expects a few events each, and would rather find them page by page and sort them, job by job,
    /// than read them in the order of their index, which takes half the time. And compiling a statement that reads a few
    /// columns costs more than it saves.
    private static let planning = Query(
        """
        select set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),
            set_config('jit', 'off', true)
        """)

    /// Everything is read in one view of the database, in which a live projection and the events that it was folded from
    /// belong together: so nothing need stand still, and what is appended meanwhile is not seen.
    private func run(
        _ jobs: [ReplayCheckpoints.Job], bytesMax: Int, _ note: (Int64) async throws -> Void
    ) async throws -> [StateChanges.OfJob] {
        try await pool.withTransaction(isolation: .repeatableRead, readOnly: true, deadline: .seconds(300)) {
            transaction in
            _ = try await transaction.query(Self.planning)
            let locations = try await locations(of: jobs, &transaction)
            guard !locations.isEmpty else { return [] }
            // What is live tells beforehand, mostly, what will not fit.
            let bytes = locations.map(\.progress.tasks).reduce(0) { sum, tasks in
                // It may have been damaged, and say anything.
                let (tasks, executions) = (min(tasks.total, 1 << 32), min(tasks.executions, 1 << 32))
                return sum + Fold.memoryEstimate(tasks: Int(tasks), executions: Int(executions))
            }
            guard bytes <= bytesMax else { throw IsTooLarge() }
            let folded = try await fold(locations, bytesMax: bytesMax, &transaction, note)
            var sides = ReplayComparisonInput(locations: locations, folded: folded)
            try await sides.compare(&transaction)
            return zip(locations, folded).enumerated().compactMap { number, side in
                guard sides.isEqual[number] else { return nil }
                return StateChanges.OfJob(
                    job: side.0.job.id, projection: side.0.job.projection, previousSequence: 0, changes: side.1,
                    eventCount: Int(side.1.progress.sequence))
            }
        }
    }

    /// The jobs that can be folded here: those of which nothing was stored by somebody who was broken off.
    private func locations(
        of jobs: [ReplayCheckpoints.Job], _ transaction: inout Transaction
    ) async throws(PQError) -> [Location] {
        let rows = try await transaction.query(
            Query(
                """
                select live.job_id, \(SnapshotRecord.of("live"))
                from unnest($1::uuid[], $2::smallint[]) with ordinality as wanted (job_id, projection, number)
                join ledger.snapshot as live on live.job_id = wanted.job_id and live.is_live
                where not exists (
                    select from ledger.snapshot as built
                    where built.job_id = wanted.job_id and built.projection = wanted.projection and built.sequence > 0
                )
                order by wanted.number
                """, [.uuids(jobs.map(\.id.uuidBytes)), .int2s(jobs.map(\.projection))]))
        let byID = Dictionary(uniqueKeysWithValues: jobs.map { ($0.id, $0) })
        var snapshots = RecordReader()
        var locations: [Location] = []
        for row in rows {
            guard let job = byID[JobID(uuid: try row.decode(0))] else { continue }
            try snapshots.read(row, 1) { record throws(PQError) in
                let live = try SnapshotRecord(&record)
                locations.append(Location(job: job, live: live.projection, progress: live.progress))
            }
        }
        return locations
    }

    private func fold(
        _ locations: [Location], bytesMax: Int, _ transaction: inout Transaction, _ note: (Int64) async throws -> Void
    ) async throws -> [FoldChanges] {
        let folding = Folding(jobs: locations.count, bytesMax: bytesMax)
        if locations.count == 1, let place = locations.first {
            var position: Int64 = 0
            while position < place.progress.sequence {
                let end = min(place.progress.sequence, position + Int64(settings.eventsPerStoreMax))
                let part = EventCursor.Part(place.job.id, after: position, through: end)
                try await EventCursor.read([part], in: &transaction, folding.take)
                if end < place.progress.sequence { try await note(end - position) }
                position = end
            }
        } else {
            let parts = locations.map { EventCursor.Part($0.job.id, after: 0, through: $0.progress.sequence) }
            try await EventCursor.read(parts, in: &transaction, folding.take)
        }
        return try folding.end()
    }

    /// Jobs that are folded one after the other.
    private final class Folding {
        private let jobs: Int
        private let bytesMax: Int
        private var fold = Fold(tracksChanges: false)
        private var folded: [FoldChanges] = []
        private var foldedBytes = 0

        init(jobs: Int, bytesMax: Int) {
            self.jobs = jobs
            self.bytesMax = bytesMax
        }

        func take(_ job: Int, _ event: Event) throws {
            while folded.count < job { try endJob() }
            try fold.apply(event)
            // Looked at now and then: an event adds a few hundred bytes.
            if event.sequence & 0xFF == 0, foldedBytes + fold.memoryEstimate > bytesMax { throw IsTooLarge() }
        }

        func end() throws -> [FoldChanges] {
            while folded.count < jobs { try endJob() }
            return folded
        }

        private func endJob() throws {
            foldedBytes += fold.memoryEstimate
            guard foldedBytes <= bytesMax else { throw IsTooLarge() }
            folded.append(try fold.allState())
            fold = Fold(tracksChanges: false)
        }
    }
}
