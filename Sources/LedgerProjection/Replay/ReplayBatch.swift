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
    let memory: ReplayBudget

    private var pool: Pool { ledger.replayPool }
    private var builder: ReplayBuilder { ReplayBuilder(pool: pool, settings: settings) }

    func run(_ batch: Int32, _ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Current) async throws {
        let reporter = ReplayReporter(ledger: ledger, logger: logger)
        try await reporter.begin(batch, of: replay.id, checkpoints)
        do {
            try await foldMissing(jobs.filter(\.wasMissing), of: replay)
            if replay.policy == .last {
                let rest = try await check(jobs, of: replay, reporter)
                if !rest.isEmpty {
                    try await checkpoints.open(rest.map(\.job), of: replay.id)
                    try await build(rest, of: replay, reporter)
                }
            } else {
                for job in jobs {
                    try await checkpoints.checkRunning(replay.id)
                    try await compare(job, of: replay)
                    await reporter.note(jobs: 1, events: job.events)
                }
            }
        } catch {
            await reporter.finish(error is ReplayCheckpoints.Interrupted ? .canceled : .failed)
            throw error
        }
        await reporter.finish(.succeeded)
    }

    /// Looks without any progress, until projections that others hold are compared as they are.
    private static let idleLooksMax = 100

    /// Folds the live projections that were missing as far as the ledger was when the replay began. Workers do the same,
    /// and may be in front.
    private func foldMissing(_ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Current) async throws {
        let step = ProjectionStep(pool: pool, settings: ProjectionSettings())
        var idleLooks = 0
        while idleLooks < Self.idleLooksMax {
            let behind = try await checkpoints.unfolded(jobs)
            if behind.isEmpty { return }
            var folded = 0
            for start in stride(from: 0, to: behind.count, by: settings.jobsPerStepMax) {
                try await checkpoints.checkRunning(replay.id)
                let group = Array(behind[start..<min(behind.count, start + settings.jobsPerStepMax)])
                folded += try await step.run(group).eventCount
            }
            if folded > 0 { continue }
            idleLooks += 1
            try await Task.sleep(for: step.settings.heldPause)
        }
    }

    /// A job that is still to be built, and how many of its events were reported as done before.
    private typealias Rest = (job: ReplayCheckpoints.Job, reported: Int64)

    // MARK: In memory

    /// Folds the jobs in memory; those whose live projections say the same are done, and stored where they are to be
    /// applied.
    ///
    /// - Returns: The jobs that are to be built where they can be compared part by part.
    private func check(
        _ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Current, _ reporter: ReplayReporter
    ) async throws -> [Rest] {
        if replay.applies {
            try await checkpoints.open(jobs, of: replay.id)
        } else {
            try await checkpoints.begin(jobs, of: replay.id)
        }
        var rest: [Rest] = []
        for group in groups(jobs) {
            try await checkpoints.checkRunning(replay.id)
            let (done, reported) = try await storeAgreeing(group, of: replay, reporter)
            // What was reported beforehand counts for those that are done, and what is left of it for the others.
            let compared = group.filter { done.contains($0.id) }
            let events = compared.reduce(0) { $0 + $1.events }
            var early = max(0, reported - events)
            for job in group where !done.contains(job.id) {
                let own = min(job.events, early)
                early -= own
                rest.append((job, own))
            }
            if !compared.isEmpty {
                await reporter.note(jobs: Int64(compared.count), events: max(0, events - reported))
            }
        }
        return rest
    }

    /// - Returns: The jobs that agree, and how many events were reported as done on the way.
    private func storeAgreeing(
        _ group: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Current, _ reporter: ReplayReporter
    ) async throws -> (done: Set<JobID>, reported: Int64) {
        let check = ReplayVerification(pool: pool, settings: settings, memory: memory)
        // They may have grown since the replay began, or be folded again: what was announced is what is reported.
        let announced = group.reduce(0) { $0 + $1.events }
        var reported: Int64 = 0
        var done: Set<JobID> = []
        func take(_ equal: [StateChanges.OfJob]) async throws {
            try await store(equal, of: replay)
            done.formUnion(equal.map(\.job))
        }
        let equal = try await check.run(group, storingParts: take) { events in
            try await checkpoints.checkRunning(replay.id)
            let more = max(0, min(events, announced - reported))
            reported += more
            await reporter.note(jobs: 0, events: more)
        }
        try await take(equal)
        return (done, reported)
    }

    /// Jobs in groups that are folded together; a large one is a group of its own.
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

    /// Notes that these jobs agree, and with that stores what was built of them, where it is to be applied.
    private func store(_ equal: [StateChanges.OfJob], of replay: ReplayCheckpoints.Current) async throws {
        guard !equal.isEmpty else { return }
        let agreement = ReplayCheckpoints.agreement(equal.map(\.job), of: replay.id)
        guard replay.applies else {
            // Nothing was stored, unless somebody was broken off who had to.
            let stale = try await checkpoints.stale(among: equal.map { ($0.job, $0.projection) })
            _ = try await pool.commit((stale.isEmpty ? [] : ReplayCheckpoints.clearing(stale)) + [agreement])
            return
        }
        try await pool.withTransaction { transaction in
            _ = try await transaction.pipeline(StateChanges.checkpoints(equal))
            var waiting: [StateChanges.OfJob] = []
            var count = 0
            // Not all at once: what is sent takes more memory than what was folded.
            for job in equal {
                for start in stride(from: 0, to: job.changes.count, by: settings.partsPerStatementMax) {
                    let end = min(job.changes.count, start + settings.partsPerStatementMax)
                    if count + end - start > settings.partsPerStatementMax {
                        _ = try await transaction.pipeline(await parts(waiting))
                        (waiting, count) = ([], 0)
                    }
                    waiting.append(
                        StateChanges.OfJob(
                            job: job.job, projection: job.projection, previousSequence: job.previousSequence,
                            changes: job.changes.part(start..<end), eventCount: job.eventCount))
                    count += end - start
                }
            }
            _ = try await transaction.commit(after: await parts(waiting) + [agreement])
        }
    }

    private func parts(_ changes: [StateChanges.OfJob]) async -> [Query] {
        await withTaskExecutorPreference(globalConcurrentExecutor) { () async in StateChanges.parts(changes) }
    }

    // MARK: Stored

    private func build(
        _ rest: [Rest], of replay: ReplayCheckpoints.Current, _ reporter: ReplayReporter
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
                // One of them cannot be read: which, shows when they are built one by one.
                for job in group { try await buildAlone(job, of: replay) { _ in } }
            }
            try await compare(group, of: replay)
            let events = group.reduce(0) { $0 + $1.events - (reported[$1.id] ?? 0) }
            await reporter.note(jobs: Int64(group.count), events: events)
        }
        for one in rest where one.job.events > settings.smallJobEventsMax {
            try await checkpoints.checkRunning(replay.id)
            if Int(one.job.events) > settings.bytesInMemoryMax / Self.bytesPerEventMax {
                try await memory.withLargeJob { try await buildLarge(one, of: replay, reporter) }
            } else {
                try await buildLarge(one, of: replay, reporter)
            }
        }
    }

    /// What an event takes in memory at most, where each begins an execution that is stored.
    private static let bytesPerEventMax = 1_400

    private func buildLarge(
        _ one: Rest, of replay: ReplayCheckpoints.Current, _ reporter: ReplayReporter
    ) async throws {
        let job = one.job
        var folded: Int64 = 0
        var reported = one.reported
        try await buildAlone(job, of: replay) { events in
            folded += events
            let more = max(0, min(folded, job.events) - reported)
            reported += more
            try await checkpoints.checkRunning(replay.id)
            await reporter.note(jobs: 0, events: more)
        }
        try await compare([job], of: replay)
        await reporter.note(jobs: 1, events: job.events - reported)
    }

    /// Builds one job; one whose events are not there any more, or make no sense, is skipped and the others go on.
    private func buildAlone(
        _ job: ReplayCheckpoints.Job, of replay: ReplayCheckpoints.Current, _ note: (Int64) async throws -> Void
    ) async throws {
        do {
            try await builder.build(job, note)
        } catch let error as StoreError where error.code == .incomplete || error.code == .corrupt {
            try await checkpoints.skip(job, of: replay.id, because: error.message)
        } catch let error as PQError where error.code == .decoding {
            try await checkpoints.skip(job, of: replay.id, because: error.message)
        }
    }

    // MARK: Comparing

    /// Compares what was built with what is live, at the same event.
    ///
    /// The live snapshots stand still only until the comparison has its own view of the database, in which both sides
    /// are equally far: what is compared then may take its time, while the live ones move on.
    private func compare(_ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Current) async throws {
        let skipped = try await pool.withTransaction(isolation: .repeatableRead, deadline: .seconds(300)) {
            comparison in
            let locations = try await pool.withTransaction { standstill in
                _ = try await standstill.query(ReplayComparison.lockLive(jobs.map(\.id)))
                // What was appended since is folded on other connections: what is built is not locked.
                let behind = try await distances(jobs, &standstill).filter { !$0.isEqual }
                if !behind.isEmpty { try await builder.catchUp(behind.map { ($0.job.id, $0.job.projection) }) }
                _ = try await comparison.pipeline(ReplayComparison.planning)
                return try await distances(jobs, &comparison)
            }
            let equal = locations.filter(\.isEqual).map(\.job)
            var statements = ReplayComparison.statements(equal, of: replay.id)
            if !replay.applies {
                statements += ReplayCheckpoints.clearing(equal.map { ($0.id, $0.projection) })
            }
            _ = try await comparison.commit(after: statements)
            return locations.filter { !$0.isEqual }
        }
        for place in skipped {
            try await checkpoints.skip(
                place.job, of: replay.id,
                because:
                    "its events after \(place.built) are not there or cannot be folded; the live projection is at \(place.live)"
            )
        }
    }

    private struct Location: Sendable {
        let job: ReplayCheckpoints.Job
        let built: Int64
        let live: Int64
        var isEqual: Bool { built == live }
    }

    /// How far jobs are; those that were skipped already are not among them.
    private func distances(
        _ jobs: [ReplayCheckpoints.Job], _ transaction: inout Transaction
    ) async throws -> [Location] {
        let rows = try await transaction.query(ReplayComparison.locations(jobs))
        let byID = Dictionary(uniqueKeysWithValues: jobs.map { ($0.id, $0) })
        var locations: [Location] = []
        for row in rows {
            guard let job = byID[JobID(uuid: try row.decode(0))] else { continue }
            locations.append(Location(job: job, built: try row.decode(1), live: try row.decode(2)))
        }
        return locations
    }

    /// Compares what a job's events amount to by another policy with what is live.
    private func compare(_ job: ReplayCheckpoints.Job, of replay: ReplayCheckpoints.Current) async throws {
        do {
            let view = try await ledger.job(job.id)
            guard let view else { throw StoreError(.incomplete, "the job is not there any more") }
            let replayed = try await ledger.job(
                job.id, at: .sequence(view.snapshot.sequence), counting: replay.policy)
            guard let replayed else { throw StoreError(.incomplete, "the job is not there any more") }
            let differences = ReplayComparison.differences(view.snapshot, replayed.snapshot)
            _ = try await pool.commit(ReplayComparison.statements(job, differences, of: replay.id))
        } catch let error as StoreError where error.code == .incomplete || error.code == .corrupt {
            try await checkpoints.skip(job, of: replay.id, because: error.message)
        }
    }
}
