internal import Ledger
internal import LedgerStore
internal import PQ
internal import Tracing

/// One step of the projection: claims jobs, folds their events, stores the results.
///
/// It claims jobs that are behind, and stores states, snapshots and checkpoints in the same transaction. A step that is
/// killed has therefore had its whole effect or none.
struct ProjectionStep {
    let pool: Pool
    let settings: ProjectionSettings
    /// The subscriptions to notifications.
    var subscriptions: SubscriptionMatcher
    /// The percentages that subscriptions ask for.
    private let percentages = RecentPercentages()
    /// The states of recently folded jobs.
    private let recent: RecentFolds
    /// The backend for spans; nil for none.
    var tracer: (any Tracer)?

    init(
        pool: Pool, settings: ProjectionSettings, subscriptions: SubscriptionMatcher = SubscriptionMatcher(),
        tracer: (any Tracer)? = nil
    ) {
        self.pool = pool
        self.settings = settings
        self.subscriptions = subscriptions
        self.tracer = tracer
        recent = RecentFolds(bytesMax: settings.recentFoldBytesMax, bytesPerJobMax: settings.recentFoldBytesPerJobMax)
    }

    /// The result of a step.
    struct Result {
        /// The advanced snapshots and their new sequences.
        ///
        /// A job with a damaged state is included if an earlier portion of its events was folded.
        var folded: [(job: JobID, sequence: EventSequence, state: JobState)] = []
        /// Jobs among them that are completed.
        var completed: [JobID] = []
        /// Jobs that have more events than one step takes.
        var unfinished: [JobID] = []
        /// Jobs that are held by another worker or are up to date.
        ///
        /// ``ProjectionStep/lag(of:)`` distinguishes them.
        var unclaimed: [JobID] = []
        /// Jobs with an unreadable state; they need a replay.
        var damaged: [(job: JobID, error: FoldStateError)] = []
        /// Number of folded events.
        var eventCount = 0
        /// Whether notifications were enqueued.
        var hasNotifications = false
    }

    /// Makes the step's commit not wait for the disk, without an extra round trip.
    ///
    /// The events are on the disk, and folding them again has the same result. If PostgreSQL crashes soon after a
    /// step (within three times its `wal_writer_delay`, 0.6 s by default), everything that the step stored may be
    /// undone, including its checkpoint, and the job is behind again. A transaction that has seen the step's result
    /// commits later in the log, so it survives only together with the step. Values kept in memory survive without it
    /// and must not be trusted.
    private static let asynchronousCommit = Query("set local synchronous_commit = off", prepare: false)

    /// Runs the step for these jobs, in two or three round trips.
    ///
    /// They are: claim and read events, read the states that are not in memory, store and commit. Events that touch
    /// very many executions are folded in portions, each with one or two round trips more. The committed result is
    /// visible at once and on the disk slightly later.
    ///
    /// - Parameter projections: The projection of each job to fold up to the live one's sequence; nil for the live ones
    ///   themselves.
    func run(_ jobs: [JobID], into projections: [Int16]? = nil) async throws -> Result {
        guard let tracer else { return try await perform(jobs, into: projections) }
        let span = tracer.startSpan("project", ofKind: .internal)
        defer { span.end() }
        span.attributes["progress_ledger.job.count"] = jobs.count
        if jobs.count == 1 { span.attributes["progress_ledger.job.id"] = jobs.first?.description }
        do {
            let result = try await ServiceContext.withValue(span.context) {
                try await perform(jobs, into: projections)
            }
            span.attributes["progress_ledger.event.count"] = result.eventCount
            return result
        } catch {
            span.attributes["error.type"] = "\(type(of: error))"
            span.setStatus(SpanStatus(code: .error))
            throw error
        }
    }

    private func perform(_ jobs: [JobID], into projections: [Int16]?) async throws -> Result {
        let eventsMax = min(settings.eventsPerJobMax, max(1, settings.eventsPerStepMax / max(1, jobs.count)))
        let (result, folded) = try await pool.withTransaction { transaction in
            let claim =
                projections.map { ClaimQueries.claim(jobs, into: $0, eventsMax: eventsMax) }
                ?? ClaimQueries.claim(jobs, eventsMax: eventsMax)
            let claimed = try await transaction.pipeline(
                [IndexedLookup.planning, Self.asynchronousCommit, claim]
                    + (projections == nil ? [SubscriptionMatcher.version] : []))
            var claims = try await ComputeThreads.run { () throws(PQError) in
                try ClaimedJobs(claimed[2], requested: jobs, recent: recent)
            }
            // A replay enqueues nothing.
            if projections == nil {
                claims.notify(
                    try await subscriptions.subscriptions(
                        to: claims.jobs.map(\.id), version: claimed[3], in: &transaction))
            }
            var result = Result()
            var folded: [RecentFolds.State] = []
            let ids = Set(claims.jobs.map(\.id))
            result.unclaimed = jobs.filter { !ids.contains($0) }
            let full = claims.jobs.filter { $0.events.count == eventsMax }.map(\.id)
            while !claims.jobs.isEmpty {
                let statements = try await fold(&claims, in: &transaction, into: &result, &folded)
                if claims.jobs.isEmpty {
                    _ = try await transaction.commit(after: statements)
                } else {
                    _ = try await transaction.pipeline(statements)
                }
            }
            let damaged = Set(result.damaged.map(\.job))
            result.unfinished = full.filter { !damaged.contains($0) }
            return (result, folded)
        }
        recent.insert(folded)
        return result
    }

    /// Folds a prefix of the claimed events, after reading the states that it lacks.
    ///
    /// - Parameter folded: Receives the states of the jobs that were folded completely.
    /// - Returns: The statements that store the result.
    private func fold(
        _ claims: inout ClaimedJobs, in transaction: inout Transaction, into result: inout Result,
        _ folded: inout [RecentFolds.State]
    ) async throws -> [Query] {
        var prefix = claims
        if claims.eventCount > settings.executionsPerBatchMax {
            let (whole, executionsMax) = (claims, settings.executionsPerBatchMax)
            (prefix, claims) = await ComputeThreads.run { whole.prefix(executionsMax: executionsMax) }
        } else {
            // An event touches at most one execution.
            claims = .none
        }
        prefix.restorePercentages(percentages)
        let percentQueries = prefix.percentQueries
        let queries = StateQueries.queries(for: prefix)
        if !queries.isEmpty || !percentQueries.isEmpty {
            let rows = try await transaction.pipeline(queries.map(\.query) + percentQueries)
            for (query, rows) in zip(queries, rows) { try prefix.restore(query.part, rows) }
            if let percents = rows.dropFirst(queries.count).first { try prefix.restorePercentages(percents) }
        }
        let further = StateQueries.dependentQueries(for: prefix)
        if !further.isEmpty { try prefix.restoreDependent(try await transaction.pipeline(further)) }

        let continued = Set(claims.jobs.map(\.id))
        let (changes, damaged, statements, states) = await ComputeThreads.run {
            // The states are folded in place: of copies, everything that changes would be copied.
            let (changes, damaged) = prefix.foldEvents()
            let statements =
                StateChanges.statements(changes) + DeliveryStore.insertions(of: changes.flatMap(\.notifications))
            let dropped = continued.union(damaged.map(\.job))
            let states = prefix.jobs.filter { !dropped.contains($0.id) }.compactMap { RecentFolds.State(of: $0) }
            // The rest of them is freed here, and not on the thread of the connections.
            prefix = .none
            return (changes, damaged, statements, states)
        }
        folded += states
        for change in changes {
            claims.continueFolding(with: change.job, from: change)
            percentages.insert(change)
            if change.changes.progress.state == .completed { result.completed.append(change.job) }
            // Replaces the result of an earlier prefix of the same job.
            if result.folded.last?.job == change.job { result.folded.removeLast() }
            let progress = change.changes.progress
            result.folded.append((change.job, progress.sequence, progress.state))
            result.eventCount += change.eventCount
            if !change.notifications.isEmpty { result.hasNotifications = true }
        }
        for (job, _) in damaged { claims.continueFolding(with: job, from: nil) }
        result.damaged += damaged
        return statements
    }

    /// The jobs that are behind, by the reason.
    struct Lag {
        /// Jobs that another worker holds, or that have got events since.
        var held: [JobID] = []
        /// Jobs that another version of this program must fold.
        var foreign: [JobID] = []
        /// Jobs with a missing next event.
        var broken: [JobID] = []
        /// Jobs without a live snapshot.
        var missing: [JobID] = []
    }

    /// Returns those of these jobs that are behind.
    func lag(of jobs: [JobID]) async throws(PQError) -> Lag {
        let rows = try await pool.query(
            Query(
                """
                select
                    head.job_id, snapshot.sequence is null,
                    exists (
                        select from ledger.event
                        where event.job_id = head.job_id and event.sequence = snapshot.sequence + 1
                    ),
                    not (\(ClaimQueries.isFoldedHere))
                from ledger.job_head as head
                \(LiveSnapshot.join(of: "head.job_id"))
                where head.job_id = any ($1) and head.sequence > coalesce(snapshot.sequence, 0)
                """, [.uuids(jobs.map(\.uuid))]))
        var lag = Lag()
        for row in rows {
            let job = try row.decode(0, as: JobID.self)
            if try row.decodeIfPresent(3, as: Bool.self) ?? false {
                lag.foreign.append(job)
            } else if try row.decode(1, as: Bool.self) {
                lag.missing.append(job)
            } else if try row.decode(2, as: Bool.self) {
                lag.held.append(job)
            } else {
                lag.broken.append(job)
            }
        }
        return lag
    }

    /// The result of checking one page of all jobs.
    struct Sweep {
        /// Jobs with a live snapshot that is behind the ledger.
        var behind: [JobID] = []
        /// Jobs without a live snapshot, because the projection was dropped.
        var missing: [JobID] = []
        /// The cursor of the next page; nil after the last one.
        var next: JobID?
    }

    /// Checks one page of all jobs, newest first.
    func sweep(before cursor: JobID?) async throws(PQError) -> Sweep {
        let page = Query(
            """
            select job_id, sequence > coalesce(folded, 0), folded is null
            from (
                select
                    head.job_id, head.sequence,
                    (
                        select snapshot.sequence from ledger.snapshot
                        where snapshot.job_id = head.job_id and snapshot.is_live
                        order by snapshot.projection
                        limit 1
                    ) as folded
                from ledger.job_head as head
                where head.job_id < $1 order by head.job_id desc limit $2
            ) as page
            order by job_id desc
            """,
            [
                .uuid(cursor?.uuid ?? UUIDBytes(high: .max, low: .max)), .int8(Int64(settings.sweepJobsMax)),
            ])
        let rows = try await pool.withTransaction(readOnly: true) { transaction throws(PQError) in
            try await transaction.commit(after: [IndexedLookup.planning, page])[1]
        }
        var sweep = Sweep()
        for row in rows where try row.decode(1, as: Bool.self) {
            let job = try row.decode(0, as: JobID.self)
            if try row.decode(2, as: Bool.self) { sweep.missing.append(job) } else { sweep.behind.append(job) }
        }
        if rows.count == settings.sweepJobsMax, let last = rows.last { sweep.next = try last.decode(0, as: JobID.self) }
        return sweep
    }
}
