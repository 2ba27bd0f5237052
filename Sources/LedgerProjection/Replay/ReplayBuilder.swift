internal import Ledger
internal import LedgerStore
internal import PQ

/// Builds projections beside the live ones, as far as these are.
struct ReplayBuilder: Sendable {
    let pool: Pool
    let settings: ReplaySettings

    private var step: ProjectionStep {
        var stepSettings = ProjectionSettings()
        stepSettings.eventsPerJobMax = 10_000
        return ProjectionStep(pool: pool, settings: stepSettings)
    }

    /// Folds the events that projections lack, of many jobs at the same time. A job whose events are not there, or
    /// cannot be folded, stays behind.
    func catchUp(_ projections: [(job: JobID, number: Int16)]) async throws {
        var rest = projections[...]
        while !rest.isEmpty {
            var group = Dictionary(
                uniqueKeysWithValues: rest.prefix(settings.jobsPerStepMax).map { ($0.job, $0.number) })
            rest = rest.dropFirst(settings.jobsPerStepMax)
            while !group.isEmpty {
                try Task.checkCancellation()
                let jobs = group.keys.sorted()
                let result = try await step.run(jobs, into: jobs.compactMap { group[$0] })
                let unfinished = Set(result.unfinished)
                group = group.filter { unfinished.contains($0.key) }
            }
        }
    }

    /// Builds one large job: its events are read in one piece and folded in memory, and what they change is stored now
    /// and then. One that was begun before, or that grows too large for memory, goes on in small steps.
    ///
    /// - Parameter note: Told how many events have been stored.
    func build(_ job: ReplayCheckpoints.Job, _ note: (Int64) async throws -> Void) async throws {
        let (stored, live) = try await places(of: job)
        if stored == 0, live > 0 {
            let writing = Writing(job, settings)
            while writing.sequence < live, !writing.isTooLarge {
                let before = writing.stored
                try await read(writing, through: live)
                try await store(writing)
                try await note(writing.stored - before)
            }
        }
        try await catchUp([(job.id, job.projection)])
    }

    /// A job that is being built in memory.
    private final class Writing {
        let job: ReplayCheckpoints.Job
        let settings: ReplaySettings
        private(set) var stored: Int64 = 0
        private var fold = Fold()

        init(_ job: ReplayCheckpoints.Job, _ settings: ReplaySettings) {
            self.job = job
            self.settings = settings
        }

        /// So much has changed that it is to be stored before more is read.
        struct IsFull: Error {}

        var sequence: Int64 { fold.progress.sequence }
        var isTooLarge: Bool { fold.executionCount > settings.executionsInMemoryMax }

        func take(_ events: [Event]) throws {
            for event in events { try fold.apply(event) }
            if isTooLarge || fold.changeCount > settings.changesPerStoreMax { throw IsFull() }
        }

        /// What is to be stored; nil where nothing is.
        func takeChanges() throws -> StateChanges.OfJob? {
            let changes = try fold.takeChanges()
            let previous = stored
            guard changes.progress.sequence > previous else { return nil }
            stored = changes.progress.sequence
            return StateChanges.OfJob(
                job: job.id, projection: job.projection, previousSequence: previous, changes: changes,
                eventCount: Int(stored - previous))
        }
    }

    private func read(_ writing: Writing, through live: Int64) async throws {
        let start = writing.sequence
        let end = min(live, start + Int64(settings.eventsPerStoreMax))
        do throws(StoreError) {
            try await EventCursor(pool: pool).read(writing.job.id, after: start, through: end, writing.take)
        } catch {
            // What was read and not taken is read again.
            guard error.cause is Writing.IsFull else { throw error }
        }
    }

    private func store(_ writing: Writing) async throws {
        guard let changes = try writing.takeChanges() else { return }
        let statements = await withTaskExecutorPreference(globalConcurrentExecutor) { () async in
            StateChanges.statements([changes])
        }
        try await pool.withTransaction { transaction in _ = try await transaction.commit(after: statements) }
    }

    /// How far the projection that is built is, and the live one.
    private func places(of job: ReplayCheckpoints.Job) async throws(PQError) -> (stored: Int64, live: Int64) {
        let rows = try await pool.query(
            Query(
                """
                select built.sequence, live.sequence
                from ledger.snapshot as built
                join ledger.snapshot as live on live.job_id = built.job_id and live.is_live
                where built.job_id = $1 and built.projection = $2
                """, [.uuid(job.id.uuidBytes), .int2(job.projection)]))
        guard let row = rows.first else {
            throw PQError(.decoding, "the projection that is built is not there any more")
        }
        return (try row.decode(0), try row.decode(1))
    }
}
