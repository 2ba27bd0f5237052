internal import Ledger
internal import LedgerStore
internal import Logging
internal import PQ

/// Builds the projections of a batch of jobs and compares them with the live ones.
struct ReplayBatch: Sendable {
    let ledger: PostgresLedger
    let checkpoints: ReplayCheckpoints
    let settings: ReplaySettings
    let logger: Logger
    let largeJobLock: LargeJobLock

    private var pool: Pool { ledger.replayPool }
    private var builder: ReplayBuilder { ReplayBuilder(pool: pool, settings: settings) }

    func run(_ batch: Int32, _ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record) async throws {
        let reporter = ReplayReporter(ledger: ledger, logger: logger)
        try await reporter.begin(batch, of: replay.id, checkpoints)
        do {
            try await foldMissingProjections(jobs.filter(\.wasMissing), of: replay)
            if replay.policy == .last {
                let rest = try await verifyInMemory(jobs, of: replay, reporter)
                if !rest.isEmpty {
                    try await checkpoints.createProjections(for: rest.map(\.job), of: replay.id)
                    try await build(rest, of: replay, reporter)
                }
            } else {
                for job in jobs {
                    try await checkpoints.checkRunning(replay.id)
                    try await compare(job, of: replay)
                    await reporter.reportDone(jobs: 1, events: job.events)
                }
            }
        } catch {
            await reporter.finish(error is ReplayCheckpoints.Interrupted ? .canceled : .failed)
            throw error
        }
        await reporter.finish(.succeeded)
    }

    /// Attempts without progress before projections held by others are compared as is.
    private static let idleAttemptsMax = 100

    /// Folds the missing live projections up to the sequences of the replay's start.
    ///
    /// Projection workers do the same and may be ahead.
    private func foldMissingProjections(_ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record)
        async throws
    {
        let step = ProjectionStep(pool: pool, settings: ProjectionSettings())
        var idleAttempts = 0
        while idleAttempts < Self.idleAttemptsMax {
            let behind = try await checkpoints.unfolded(jobs)
            if behind.isEmpty { return }
            var folded = 0
            for start in stride(from: 0, to: behind.count, by: settings.jobsPerStepMax) {
                try await checkpoints.checkRunning(replay.id)
                let group = Array(behind[start..<min(behind.count, start + settings.jobsPerStepMax)])
                folded += try await step.run(group).eventCount
            }
            if folded > 0 { continue }
            idleAttempts += 1
            try await Task.sleep(for: step.settings.heldRetryPause)
        }
    }

    /// A job that must still be built, and the number of its events reported as done.
    private typealias PendingJob = (job: ReplayCheckpoints.Job, reported: Int64)

    // MARK: In memory

    /// Folds the jobs in memory and compares them with the live projections.
    ///
    /// Jobs that match are done; they are stored if the replay applies its result.
    ///
    /// - Returns: The jobs that must be built and compared part by part.
    private func verifyInMemory(
        _ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record, _ reporter: ReplayReporter
    ) async throws -> [PendingJob] {
        if replay.applies {
            try await checkpoints.createProjections(for: jobs, of: replay.id)
        } else {
            try await checkpoints.markBuilding(jobs, of: replay.id)
        }
        var rest: [PendingJob] = []
        for group in groups(jobs) {
            try await checkpoints.checkRunning(replay.id)
            let (done, reported) = try await storeMatching(group, of: replay, reporter)
            // Events reported in advance are attributed to the finished jobs first, and the remainder to the others.
            let compared = group.filter { done.contains($0.id) }
            let events = compared.reduce(0) { $0 + $1.events }
            var unassigned = max(0, reported - events)
            for job in group where !done.contains(job.id) {
                let share = min(job.events, unassigned)
                unassigned -= share
                rest.append((job, share))
            }
            if !compared.isEmpty {
                await reporter.reportDone(jobs: Int64(compared.count), events: max(0, events - reported))
            }
        }
        return rest
    }

    /// Folds a group in memory and stores the jobs that match.
    ///
    /// - Returns: The jobs that match, and the number of events that were reported as done.
    private func storeMatching(
        _ group: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record, _ reporter: ReplayReporter
    ) async throws -> (done: Set<JobID>, reported: Int64) {
        let verification = ReplayVerification(pool: pool, settings: settings, largeJobLock: largeJobLock)
        // The jobs may have grown since the replay began, or be folded again. No more events are reported than were
        // announced.
        let announced = group.reduce(0) { $0 + $1.events }
        var reported: Int64 = 0
        var done: Set<JobID> = []
        func take(_ equal: [StateChanges.JobChanges]) async throws {
            try await store(equal, of: replay)
            done.formUnion(equal.map(\.job))
        }
        let equal = try await verification.run(group, storingParts: take) { events in
            try await checkpoints.checkRunning(replay.id)
            let more = max(0, min(events, announced - reported))
            reported += more
            await reporter.reportDone(jobs: 0, events: more)
        }
        try await take(equal)
        return (done, reported)
    }

    /// Divides jobs into groups that are folded together; a large job is its own group.
    private func groups(_ jobs: [ReplayCheckpoints.Job]) -> [[ReplayCheckpoints.Job]] {
        var groups: [[ReplayCheckpoints.Job]] = []
        var group: [ReplayCheckpoints.Job] = []
        var events: Int64 = 0
        for job in jobs {
            if !group.isEmpty,
                events + job.events > settings.eventsPerCheckMax || group.count == settings.jobsPerComparisonMax
            {
                groups.append(group)
                (group, events) = ([], 0)
            }
            group.append(job)
            events += job.events
        }
        return group.isEmpty ? groups : groups + [group]
    }

    /// Records that these jobs match, and stores their states if the replay applies.
    private func store(_ equal: [StateChanges.JobChanges], of replay: ReplayCheckpoints.Record) async throws {
        guard !equal.isEmpty else { return }
        let matchStatement = ReplayCheckpoints.matchStatement(equal.map(\.job), of: replay.id)
        guard replay.applies else {
            // Nothing was stored, unless an interrupted attempt had to store parts.
            let stale = try await checkpoints.stale(among: equal.map { ($0.job, $0.projection) })
            _ = try await pool.commit(
                (stale.isEmpty ? [] : ReplayCheckpoints.deletionStatements(stale)) + [matchStatement])
            return
        }
        try await pool.withTransaction { transaction in
            _ = try await transaction.pipeline(StateChanges.checkpoints(equal))
            var buffered: [StateChanges.JobChanges] = []
            var count = 0
            // The changes are written in portions, because the statements need more memory than the folded states.
            for job in equal {
                for start in stride(from: 0, to: job.changes.count, by: settings.partsPerStatementMax) {
                    let end = min(job.changes.count, start + settings.partsPerStatementMax)
                    if count + end - start > settings.partsPerStatementMax {
                        _ = try await transaction.pipeline(await parts(buffered))
                        (buffered, count) = ([], 0)
                    }
                    buffered.append(
                        StateChanges.JobChanges(
                            job: job.job, projection: job.projection, previousSequence: job.previousSequence,
                            changes: job.changes.part(start..<end), eventCount: job.eventCount))
                    count += end - start
                }
            }
            _ = try await transaction.commit(after: await parts(buffered) + [matchStatement])
        }
    }

    private func parts(_ changes: [StateChanges.JobChanges]) async -> [Query] {
        await ComputeThreads.run { StateChanges.parts(changes) }
    }

    // MARK: Stored

    private func build(
        _ rest: [PendingJob], of replay: ReplayCheckpoints.Record, _ reporter: ReplayReporter
    ) async throws {
        let jobs = rest.map(\.job)
        let reported = Dictionary(uniqueKeysWithValues: rest.map { ($0.job.id, $0.reported) })
        let small = jobs.filter { $0.events <= settings.smallJobEventsMax }
        for start in stride(from: 0, to: small.count, by: settings.jobsPerComparisonMax) {
            let group = Array(small[start..<min(small.count, start + settings.jobsPerComparisonMax)])
            try await checkpoints.checkRunning(replay.id)
            do {
                try await builder.catchUp(group.map { ($0.id, $0.projection) })
            } catch let error as PQError where error.code == .decoding {
                // One of them cannot be read. Building them one by one finds out which.
                for job in group { try await buildAlone(job, of: replay) { _ in } }
            }
            try await compare(group, of: replay)
            let events = group.reduce(0) { $0 + $1.events - (reported[$1.id] ?? 0) }
            await reporter.reportDone(jobs: Int64(group.count), events: events)
        }
        for pending in rest where pending.job.events > settings.smallJobEventsMax {
            try await checkpoints.checkRunning(replay.id)
            if Int(pending.job.events) > settings.bytesInMemoryMax / Self.bytesPerEventMax {
                try await largeJobLock.withLargeJob { try await buildLarge(pending, of: replay, reporter) }
            } else {
                try await buildLarge(pending, of: replay, reporter)
            }
        }
    }

    /// Maximum memory of one event, reached if each event begins a stored execution.
    private static let bytesPerEventMax = 1_400

    private func buildLarge(
        _ pending: PendingJob, of replay: ReplayCheckpoints.Record, _ reporter: ReplayReporter
    ) async throws {
        let job = pending.job
        var folded: Int64 = 0
        var reported = pending.reported
        try await buildAlone(job, of: replay) { events in
            folded += events
            let more = max(0, min(folded, job.events) - reported)
            reported += more
            try await checkpoints.checkRunning(replay.id)
            await reporter.reportDone(jobs: 0, events: more)
        }
        try await compare([job], of: replay)
        await reporter.reportDone(jobs: 1, events: job.events - reported)
    }

    /// Builds one job; a job with missing or invalid events is skipped.
    private func buildAlone(
        _ job: ReplayCheckpoints.Job, of replay: ReplayCheckpoints.Record, _ onProgress: (Int64) async throws -> Void
    ) async throws {
        do {
            try await builder.build(job, onProgress)
        } catch let error as StoreError where error.code == .incomplete || error.code == .corrupt {
            try await checkpoints.skip(job, of: replay.id, because: error.message)
        } catch let error as PQError where error.code == .decoding {
            try await checkpoints.skip(job, of: replay.id, because: error.message)
        }
    }

    // MARK: Comparing

    /// Compares the built projections with the live ones at the same sequences.
    ///
    /// The live snapshots are locked only until the comparison has its own view of the database, in which both sides
    /// have the same sequence. The comparison may then take long, while the live snapshots advance.
    private func compare(_ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record) async throws {
        let skipped = try await pool.withTransaction(isolation: .repeatableRead, deadline: .seconds(300)) {
            comparison in
            let pairs = try await pool.withTransaction { lockTransaction in
                _ = try await lockTransaction.query(ReplayComparison.lockLive(jobs.map(\.id)))
                // Events appended since are folded on other connections, because the built projections are not locked.
                let behind = try await readSequencePairs(jobs, &lockTransaction).filter { !$0.isEqual }
                if !behind.isEmpty { try await builder.catchUp(behind.map { ($0.job.id, $0.job.projection) }) }
                _ = try await comparison.pipeline(ReplayComparison.planning)
                return try await readSequencePairs(jobs, &comparison)
            }
            let equal = pairs.filter(\.isEqual).map(\.job)
            var statements = ReplayComparison.statements(equal, of: replay.id)
            if !replay.applies {
                statements += ReplayCheckpoints.deletionStatements(equal.map { ($0.id, $0.projection) })
            }
            _ = try await comparison.commit(after: statements)
            return pairs.filter { !$0.isEqual }
        }
        for pair in skipped {
            try await checkpoints.skip(
                pair.job, of: replay.id,
                because:
                    "its events after \(pair.built) are missing or cannot be folded; the live projection is at \(pair.live)"
            )
        }
    }

    /// The sequences of a job's built and live projections.
    private struct SequencePair: Sendable {
        let job: ReplayCheckpoints.Job
        let built: Int64
        let live: Int64
        var isEqual: Bool { built == live }
    }

    /// Reads the sequences of both projections of each job that was not skipped.
    private func readSequencePairs(
        _ jobs: [ReplayCheckpoints.Job], _ transaction: inout Transaction
    ) async throws -> [SequencePair] {
        let rows = try await transaction.query(ReplayComparison.sequenceQuery(jobs))
        let byID = Dictionary(uniqueKeysWithValues: jobs.map { ($0.id, $0) })
        var pairs: [SequencePair] = []
        for row in rows {
            guard let job = byID[try row.decode(0, as: JobID.self)] else { continue }
            pairs.append(SequencePair(job: job, built: try row.decode(1), live: try row.decode(2)))
        }
        return pairs
    }

    /// Compares the live snapshot with one computed by another counting policy.
    private func compare(_ job: ReplayCheckpoints.Job, of replay: ReplayCheckpoints.Record) async throws {
        do {
            let view = try await ledger.job(job.id)
            guard let view else { throw StoreError(.incomplete, "the job no longer exists") }
            let replayed = try await ledger.job(
                job.id, at: .sequence(view.snapshot.sequence), counting: replay.policy)
            guard let replayed else { throw StoreError(.incomplete, "the job no longer exists") }
            let differences = ReplayComparison.differences(view.snapshot, replayed.snapshot)
            _ = try await pool.commit(ReplayComparison.statements(job, differences, of: replay.id))
        } catch let error as StoreError where error.code == .incomplete || error.code == .corrupt {
            try await checkpoints.skip(job, of: replay.id, because: error.message)
        }
    }
}
