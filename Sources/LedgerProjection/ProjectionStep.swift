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
    // Copies of the step share these caches.

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
        /// Jobs among them that are completed now.
        var completed: [JobID] { folded.filter { $0.state == .completed }.map(\.job) }
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

    /// Lets the commit return before it is on the disk, without an extra round trip.
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
        // The jobs share the memory of a step equally.
        let eventsMax = min(settings.eventsPerJobMax, max(1, settings.eventsPerStepMax / max(1, jobs.count)))
        let (result, folded) = try await pool.withTransaction { transaction in
            let claim =
                projections.map { ClaimQueries.claim(jobs, into: $0, eventsMax: eventsMax) }
                ?? ClaimQueries.claim(jobs, eventsMax: eventsMax)
            let setup = [IndexedLookup.planning, Self.asynchronousCommit]
            // A replay enqueues no notification, so it needs no subscription.
            let rows = try await transaction.pipeline(
                setup + [claim] + (projections == nil ? [SubscriptionMatcher.version] : []))
            let claimed = rows[setup.count]
            var claims = try await ComputeThreads.run { () throws(PQError) in
                try ClaimedJobs(claimed, requested: jobs, recent: recent)
            }
            if projections == nil {
                claims.setSubscriptions(
                    try await subscriptions.subscriptions(
                        to: claims.jobs.map(\.id), version: rows[setup.count + 1], in: &transaction))
            }
            var result = Result()
            var folded: [RecentFolds.State] = []
            let ids = Set(claims.jobs.map(\.id))
            result.unclaimed = jobs.filter { !ids.contains($0) }
            let full = claims.jobs.filter { $0.events.count == eventsMax }.map(\.id)
            while !claims.jobs.isEmpty {
                let statements = try await foldPortion(of: &claims, in: &transaction, into: &result, &folded)
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

    /// Folds the next portion of the claims and removes it from `claims`.
    ///
    /// It first reads the states that the portion lacks. A portion touches at most `executionsPerPortionMax`
    /// executions. If a job has more events than fit, its rest stays in `claims` and continues from the state reached
    /// here.
    ///
    /// - Parameter folded: Receives the states of the jobs that were folded completely.
    /// - Returns: The statements that store the result.
    private func foldPortion(
        of claims: inout ClaimedJobs, in transaction: inout Transaction, into result: inout Result,
        _ folded: inout [RecentFolds.State]
    ) async throws -> [Query] {
        var portion = await takePortion(from: &claims)
        portion.restorePercentages(from: percentages)
        let percentQueries = portion.percentQueries
        let queries = StateQueries.queries(for: portion)
        if !queries.isEmpty || !percentQueries.isEmpty {
            let rows = try await transaction.pipeline(queries.map(\.query) + percentQueries)
            for (query, rows) in zip(queries, rows) { try portion.restore(query.part, rows) }
            if let percents = rows.dropFirst(queries.count).first { try portion.decodePercentages(percents) }
        }
        let further = StateQueries.dependentQueries(for: portion)
        if !further.isEmpty { try portion.restoreDependent(try await transaction.pipeline(further)) }

        let unfinished = Set(claims.jobs.map(\.id))
        let (changes, damaged, statements, states) = await ComputeThreads.run {
            // Folds in place: a copy of the states would double their memory traffic.
            let (changes, damaged) = portion.foldEvents()
            let statements =
                StateChanges.statements(changes) + DeliveryStore.insertions(of: changes.flatMap(\.notifications))
            let uncacheable = unfinished.union(damaged.map(\.job))
            let states = portion.jobs.filter { !uncacheable.contains($0.id) }.compactMap { RecentFolds.State(of: $0) }
            // The rest of them is freed here, and not on the thread of the connections.
            portion = .none
            return (changes, damaged, statements, states)
        }
        folded += states
        for change in changes {
            claims.resume(change.job, from: change)
            percentages.insert(change)
            // The last job of a portion may be the first one of the next: this replaces its earlier result.
            if result.folded.last?.job == change.job { result.folded.removeLast() }
            let progress = change.changes.progress
            result.folded.append((change.job, progress.sequence, progress.state))
            result.eventCount += change.eventCount
            if !change.notifications.isEmpty { result.hasNotifications = true }
        }
        for (job, _) in damaged { claims.dropRest(of: job) }
        result.damaged += damaged
        return statements
    }

    /// Removes the next portion from the claims, and returns it.
    private func takePortion(from claims: inout ClaimedJobs) async -> ClaimedJobs {
        let executionsMax = settings.executionsPerPortionMax
        guard claims.eventCount > executionsMax else {
            // Each event touches at most one execution, so all of them fit.
            defer { claims = .none }
            return claims
        }
        let (portion, remaining) = await ComputeThreads.run { [claims] in
            claims.divided(executionsMax: executionsMax)
        }
        claims = remaining
        return portion
    }
}
