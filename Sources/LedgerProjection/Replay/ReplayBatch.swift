internal import Ledger
internal import LedgerStore
internal import Logging
internal import PQ

/// Replays a batch of jobs.
///
/// It folds their events again, and compares the results with the live projections.
struct ReplayBatch: Sendable {
    let ledger: PostgresLedger
    let checkpoints: ReplayCheckpoints
    let settings: ReplaySettings
    let logger: Logger
    let largeJobLock: LargeJobLock

    private var pool: Pool { ledger.replayPool }
    private var builder: ReplayBuilder { ReplayBuilder(pool: pool, settings: settings) }

    /// Replays the jobs of a batch in these steps.
    ///
    /// 1. Fold the live projections that had been dropped.
    /// 2. Fold each job in memory, and record those that match their live projections.
    /// 3. Build and store the projections of the others, and compare both sides in the database.
    ///
    /// Another counting policy changes only which executions count, so then only the snapshots are compared.
    func run(_ batch: Int32, _ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record) async throws {
        let reporter = ReplayReporter(ledger: ledger, logger: logger)
        try await reporter.begin(batch, of: replay.id, checkpoints)
        do {
            try await foldMissingProjections(jobs.filter(\.wasMissing), of: replay)
            if replay.policy == .last {
                let rest = try await verifyInMemory(jobs, of: replay, reporter)
                if !rest.isEmpty {
                    // A replay that applies has created them already; then this changes nothing.
                    try await checkpoints.createProjections(for: rest, of: replay.id)
                    try await build(rest, of: replay, reporter)
                }
            } else {
                for job in jobs {
                    try await checkpoints.checkRunning(replay.id)
                    try await compareSnapshots(job, of: replay)
                    await reporter.finish([job])
                }
            }
        } catch {
            await reporter.end(error is ReplayCheckpoints.Interrupted ? .canceled : .failed)
            throw error
        }
        await reporter.end(.succeeded)
    }

    /// The maximum number of attempts without progress.
    ///
    /// Projections that another worker still holds then are compared as they are.
    private static let idleAttemptsMax = 100

    /// Folds the live projections that had been dropped before the replay.
    ///
    /// They are folded up to the sequences that their jobs had at its start. Projection workers do the same and may be
    /// ahead.
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

    // MARK: In memory

    /// Folds the jobs in memory and compares them with the live projections.
    ///
    /// A job that matches is recorded as compared. If the replay applies its result, the folded state is stored with
    /// it.
    ///
    /// - Returns: The jobs that must be built and compared in the database.
    private func verifyInMemory(
        _ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record, _ reporter: ReplayReporter
    ) async throws -> [ReplayCheckpoints.Job] {
        if replay.applies {
            try await checkpoints.createProjections(for: jobs, of: replay.id)
        } else {
            try await checkpoints.markBuilding(jobs, of: replay.id)
        }
        let verification = FoldVerification(pool: pool, settings: settings, largeJobLock: largeJobLock)
        var rest: [ReplayCheckpoints.Job] = []
        for group in groups(jobs) {
            try await checkpoints.checkRunning(replay.id)
            var recorded: Set<JobID> = []
            try await verification.verify(group) { matching in
                try await recordMatches(matching, of: replay)
                recorded.formUnion(matching.map(\.job))
            } onProgress: { job, sequence in
                try await checkpoints.checkRunning(replay.id)
                await reporter.advance(job, to: sequence)
            }
            await reporter.finish(group.filter { recorded.contains($0.id) })
            rest += group.filter { !recorded.contains($0.id) }
        }
        return rest
    }

    /// Divides jobs into groups that are folded together.
    ///
    /// A job with more than `eventsPerCheckMax` events is alone in its group.
    private func groups(_ jobs: [ReplayCheckpoints.Job]) -> [[ReplayCheckpoints.Job]] {
        var groups: [[ReplayCheckpoints.Job]] = []
        var group: [ReplayCheckpoints.Job] = []
        var events = 0
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
    private func recordMatches(
        _ matching: [StateChanges.JobChanges], of replay: ReplayCheckpoints.Record
    ) async throws {
        guard !matching.isEmpty else { return }
        let matchStatement = ReplayCheckpoints.matchStatement(matching.map(\.job), of: replay.id)
        guard replay.applies else {
            // This attempt has stored nothing, but an interrupted one may have. Everything that it stored is
            // deleted.
            let stale = try await checkpoints.stale(among: matching.map { ($0.job, $0.projection) })
            _ = try await pool.commit(
                (stale.isEmpty ? [] : ReplayCheckpoints.deletionStatements(stale)) + [matchStatement])
            return
        }
        try await pool.withTransaction { transaction in
            var statements = StateChanges.snapshotStatements(matching)
            // Each pass sends the statements at hand, the snapshots first, and then makes those of the next portion.
            // The last are sent with the commit.
            for portion in portions(of: matching) {
                _ = try await transaction.pipeline(statements)
                // They are freed before the next ones are made.
                statements = []
                statements = await ComputeThreads.run { StateChanges.partStatements(portion) }
            }
            _ = try await transaction.commit(after: statements + [matchStatement])
        }
    }

    /// Divides the changes into portions of at most `partsPerStatementMax` parts.
    ///
    /// A job may be in several. The sequence is lazy, so that the statements of only one portion are in memory: they
    /// need more of it than the folded states.
    private func portions(of jobs: [StateChanges.JobChanges]) -> some Sequence<[StateChanges.JobChanges]> {
        let partsMax = settings.partsPerStatementMax
        var slices = jobs.lazy.flatMap { job in
            stride(from: 0, to: job.changes.count, by: partsMax).lazy.map { start in
                job.part(start..<min(job.changes.count, start + partsMax))
            }
        }.makeIterator()
        var next = slices.next()
        return AnyIterator {
            var portion: [StateChanges.JobChanges] = []
            var count = 0
            while let slice = next, portion.isEmpty || count + slice.changes.count <= partsMax {
                portion.append(slice)
                count += slice.changes.count
                next = slices.next()
            }
            return portion.isEmpty ? nil : portion
        }
    }

    // MARK: In the database

    /// The maximum memory per event of a job, in bytes.
    ///
    /// It is that of a job in which each event begins an execution.
    private static let bytesPerEventMax = 1_400

    /// Builds and stores the projections of these jobs, and compares them.
    private func build(
        _ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record, _ reporter: ReplayReporter
    ) async throws {
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
            // Skipped jobs have no built projection and are not compared.
            try await compareStored(group, of: replay)
            await reporter.finish(group)
        }
        for job in jobs where job.events > settings.smallJobEventsMax {
            try await checkpoints.checkRunning(replay.id)
            if Int(job.events) > settings.bytesInMemoryMax / Self.bytesPerEventMax {
                try await largeJobLock.withLargeJob { try await buildAndCompare(job, of: replay, reporter) }
            } else {
                try await buildAndCompare(job, of: replay, reporter)
            }
        }
    }

    /// Builds, stores and compares one job.
    private func buildAndCompare(
        _ job: ReplayCheckpoints.Job, of replay: ReplayCheckpoints.Record, _ reporter: ReplayReporter
    ) async throws {
        var sequence: EventSequence = 0
        try await buildAlone(job, of: replay) { events in
            sequence += events
            try await checkpoints.checkRunning(replay.id)
            await reporter.advance(job, to: sequence)
        }
        try await compareStored([job], of: replay)
        await reporter.finish([job])
    }

    /// Builds one job; a job with missing or invalid events is skipped.
    private func buildAlone(
        _ job: ReplayCheckpoints.Job, of replay: ReplayCheckpoints.Record, _ onProgress: (Int) async throws -> Void
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
    /// 1. Begin the transaction of the comparison. It has no view of the database yet.
    /// 2. Lock the live snapshots in a second transaction, so that workers skip them.
    /// 3. Let the built projections catch up.
    /// 4. Read the sequences in the first transaction. This fixes its view, in which both sides have the same sequence.
    /// 5. Release the locks and compare. The workers go on while it compares.
    private func compareStored(_ jobs: [ReplayCheckpoints.Job], of replay: ReplayCheckpoints.Record) async throws {
        // The transaction of the comparison outlives the locks, so it begins first.
        let behind = try await pool.withTransaction(
            isolation: .repeatableRead, deadline: FoldVerification.comparisonDeadline
        ) {
            comparison in
            let pairs = try await pool.withTransaction { lockTransaction in
                // The live snapshots stay where they are until this transaction ends.
                _ = try await lockTransaction.query(ProjectionComparisonStatements.lockLive(jobs.map(\.id)))
                // The built ones catch up with them on other connections, because they are not locked.
                let late = try await readSequencePairs(jobs, &lockTransaction).filter { !$0.isCaughtUp }
                if !late.isEmpty { try await builder.catchUp(late.map { ($0.job.id, $0.job.projection) }) }
                _ = try await comparison.pipeline(ProjectionComparisonStatements.planning)
                return try await readSequencePairs(jobs, &comparison)
            }
            let caughtUp = pairs.filter(\.isCaughtUp).map(\.job)
            var statements = ProjectionComparisonStatements.statements(caughtUp, of: replay.id)
            if !replay.applies {
                statements += ReplayCheckpoints.deletionStatements(caughtUp.map { ($0.id, $0.projection) })
            }
            _ = try await comparison.commit(after: statements)
            return pairs.filter { !$0.isCaughtUp }
        }
        for pair in behind {
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
        let built: EventSequence
        let live: EventSequence
        /// Whether the built projection has reached the live one.
        var isCaughtUp: Bool { built == live }
    }

    /// Reads the sequences of both projections of each job that was not skipped.
    private func readSequencePairs(
        _ jobs: [ReplayCheckpoints.Job], _ transaction: inout Transaction
    ) async throws -> [SequencePair] {
        let rows = try await transaction.query(ProjectionComparisonStatements.sequenceQuery(jobs))
        let byID = Dictionary(uniqueKeysWithValues: jobs.map { ($0.id, $0) })
        var pairs: [SequencePair] = []
        for row in rows {
            guard let job = byID[try row.decode(0, as: JobID.self)] else { continue }
            pairs.append(SequencePair(job: job, built: try row.decode(1), live: try row.decode(2)))
        }
        return pairs
    }

    /// Compares the live snapshot with one computed by another counting policy.
    private func compareSnapshots(_ job: ReplayCheckpoints.Job, of replay: ReplayCheckpoints.Record) async throws {
        do {
            let view = try await ledger.job(job.id)
            guard let view else { throw StoreError(.incomplete, "the job no longer exists") }
            let replayed = try await ledger.job(
                job.id, at: .sequence(view.snapshot.sequence), counting: replay.policy)
            guard let replayed else { throw StoreError(.incomplete, "the job no longer exists") }
            let differences = ProjectionComparisonStatements.differences(view.snapshot, replayed.snapshot)
            _ = try await pool.commit(ProjectionComparisonStatements.statements(job, differences, of: replay.id))
        } catch let error as StoreError where error.code == .incomplete || error.code == .corrupt {
            try await checkpoints.skip(job, of: replay.id, because: error.message)
        }
    }
}
