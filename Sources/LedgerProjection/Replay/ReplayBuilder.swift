internal import Ledger
internal import LedgerStore
internal import PQ

/// Builds projections beside the live ones, up to the same sequences.
struct ReplayBuilder: Sendable {
    let pool: Pool
    let settings: ReplaySettings

    private var step: ProjectionStep {
        var stepSettings = ProjectionSettings()
        stepSettings.eventsPerJobMax = 10_000
        return ProjectionStep(pool: pool, settings: stepSettings)
    }

    /// Folds the events that projections lack, for many jobs at the same time.
    ///
    /// A job with events that are missing or cannot be folded stays behind.
    func catchUp(_ projections: [(job: JobID, number: Int16)]) async throws {
        let step = step
        var remaining = projections[...]
        while !remaining.isEmpty {
            var group = Dictionary(
                uniqueKeysWithValues: remaining.prefix(settings.jobsPerStepMax).map { ($0.job, $0.number) })
            remaining = remaining.dropFirst(settings.jobsPerStepMax)
            while !group.isEmpty {
                try Task.checkCancellation()
                let jobs = group.keys.sorted()
                let result = try await step.run(jobs, into: jobs.compactMap { group[$0] })
                let unfinished = Set(result.unfinished)
                group = group.filter { unfinished.contains($0.key) }
            }
        }
    }

    /// Builds one large job.
    ///
    /// Its events are read in one pass and folded in memory, and the changes are stored at intervals. A job that was
    /// begun before, or that becomes too large for memory, continues in small steps.
    ///
    /// - Parameter onProgress: Called with the number of events stored since the last call.
    func build(_ job: ReplayCheckpoints.Job, _ onProgress: (Int) async throws -> Void) async throws {
        let (stored, live) = try await sequences(of: job)
        if stored == 0, live > 0 {
            let build = InMemoryBuild(job, settings)
            while build.sequence < live, !build.isTooLarge {
                let before = build.stored
                try await read(build, through: live)
                try await store(build)
                try await onProgress(build.stored - before)
            }
        }
        try await catchUp([(job.id, job.projection)])
    }

    /// A job that is built in memory.
    private final class InMemoryBuild {
        let job: ReplayCheckpoints.Job
        let settings: ReplaySettings
        private(set) var stored: EventSequence = 0
        private var fold = Fold()
        private var estimate = EstimateState()

        init(_ job: ReplayCheckpoints.Job, _ settings: ReplaySettings) {
            self.job = job
            self.settings = settings
        }

        /// The changes must be stored before more events are read.
        struct MustStore: Error {}

        var sequence: EventSequence { fold.progress.sequence }
        var isTooLarge: Bool { fold.executionCount > settings.executionsInMemoryMax }

        func apply(_ events: [Event]) throws {
            for event in events { try estimate.apply(event, to: &fold) }
            if isTooLarge || fold.changeCount > settings.changesPerStoreMax { throw MustStore() }
        }

        /// Returns the changes to store; nil if there are none.
        func takeChanges() throws -> StateChanges.JobChanges? {
            let changes = try fold.takeChanges()
            let previous = stored
            guard changes.progress.sequence > previous else { return nil }
            stored = changes.progress.sequence
            return StateChanges.JobChanges(
                job: job.id, projection: job.projection, previousSequence: previous, changes: changes,
                estimate: estimate, eventCount: Int(stored - previous))
        }
    }

    private func read(_ build: InMemoryBuild, through live: EventSequence) async throws {
        let start = build.sequence
        let end = min(live, start + settings.eventsPerStoreMax)
        do throws(StoreError) {
            try await EventCursor(pool: pool).read(build.job.id, after: start, through: end, build.apply)
        } catch {
            // Events that were read but not folded are read again.
            guard error.cause is InMemoryBuild.MustStore else { throw error }
        }
    }

    private func store(_ build: InMemoryBuild) async throws {
        guard let changes = try build.takeChanges() else { return }
        let statements = await ComputeThreads.run { StateChanges.statements([changes]) }
        try await pool.withTransaction { transaction in _ = try await transaction.commit(after: statements) }
    }

    /// Reads the sequences of the built projection and of the live one.
    private func sequences(of job: ReplayCheckpoints.Job) async throws(PQError) -> (
        stored: EventSequence, live: EventSequence
    ) {
        let rows = try await pool.query(
            Query(
                """
                select built.sequence, live.sequence
                from ledger.snapshot as built
                join ledger.snapshot as live on live.job_id = built.job_id and live.is_live
                where built.job_id = $1 and built.projection = $2
                """, [.uuid(job.id.uuid), .int2(job.projection)]))
        guard let row = rows.first else {
            throw PQError(.decoding, "the projection to build no longer exists")
        }
        return (try row.decode(0), try row.decode(1))
    }
}
