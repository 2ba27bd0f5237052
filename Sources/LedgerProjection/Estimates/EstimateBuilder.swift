internal import Ledger
internal import LedgerStore
internal import Logging
internal import PQ

/// Summarises completed jobs, and builds missing states of estimates.
///
/// Both are folds of all events of a job; only a job with very many executions is summarised from its stored parts. A
/// job that has just ended is summarised at once. Jobs from before an upgrade, and those that this process does not
/// learn of, are found by an index and built in the order of their creation, at a limited rate. `status` shows how many
/// are left.
struct EstimateBuilder: Sendable {
    private let ledger: PostgresLedger
    private let settings: ProjectionSettings
    private let logger: Logger
    private let work: AsyncStream<Work>
    private let sink: AsyncStream<Work>.Continuation

    private enum Work: Sendable {
        case completed(JobID)
        /// Build missing states of the jobs after this one; nil for all jobs.
        case sweep(after: JobID?)
    }

    /// The maximum number of waiting jobs. Further ones are found by a sweep.
    private static let waitingMax = 1_000
    /// The maximum number of jobs built in one sweep.
    ///
    /// Then jobs that have just ended get their turn.
    private static let sweptAtOnce = 20
    /// The time limit of a transaction, which may read very many events.
    private static let deadline: Duration = .seconds(300)

    init(ledger: PostgresLedger, settings: ProjectionSettings, logger: Logger) {
        self.ledger = ledger
        self.settings = settings
        self.logger = logger
        (work, sink) = AsyncStream.makeStream(of: Work.self, bufferingPolicy: .bufferingOldest(Self.waitingMax))
    }

    /// Enqueues jobs that have just ended.
    func enqueue(_ jobs: [JobID]) {
        for job in jobs { sink.yield(.completed(job)) }
    }

    /// Runs until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask(name: "estimate-sweeps") {
                while !Task.isCancelled {
                    // A worker of an earlier version that still runs may store such states at any time.
                    await markOutdated()
                    sink.yield(.sweep(after: nil))
                    do { try await Task.sleep(for: settings.sweepInterval) } catch { break }
                }
                sink.finish()
            }
            for await next in work where !Task.isCancelled {
                switch next {
                case .completed(let job): await build(job, share: settings.estimateShare)
                case .sweep(let cursor): await sweep(after: cursor)
                }
            }
            group.cancelAll()
        }
    }

    /// Marks running jobs with a state of an earlier version.
    ///
    /// Their states are then built again, even if no event ever arrives. A version is the first byte of its state.
    private func markOutdated() async {
        do throws(PQError) {
            _ = try await ledger.pool.query(
                Query(
                    """
                    update ledger.snapshot set is_estimated = false
                    where is_live and is_estimated and state between $1 and $1
                        and get_byte(substring(estimate from 1 for 1), 0) < $2
                    """, [.text(JobState.running.rawValue), .int4(Int32(EstimateState.version))]))
        } catch {
            guard !Task.isCancelled else { return }
            logger.warning("cannot search for outdated states of estimates", metadata: ["error": "\(error)"])
        }
    }

    /// Builds some jobs, and requests the rest.
    ///
    /// A job that cannot be built is passed over until the next sweep of all jobs.
    private func sweep(after cursor: JobID?) async {
        let jobs: [JobID]
        do throws(PQError) {
            let rows = try await ledger.pool.query(
                Query(
                    """
                    select job_id from ledger.snapshot
                    where is_live and not is_estimated and sequence > 0 and job_id > $2
                        and \(ClaimQueries.isFoldedHere)
                    order by job_id
                    limit $1
                    """,
                    [.int8(Int64(Self.sweptAtOnce)), .uuid(cursor?.uuid ?? UUIDBytes(high: 0, low: 0))]))
            var found: [JobID] = []
            for row in rows { found.append(try row.decode(0, as: JobID.self)) }
            jobs = found
        } catch {
            if !Task.isCancelled {
                logger.warning("cannot search for jobs without estimates", metadata: ["error": "\(error)"])
            }
            return
        }
        for job in jobs where !Task.isCancelled { await build(job, share: settings.rebuildShare) }
        if jobs.count == Self.sweptAtOnce { sink.yield(.sweep(after: jobs.last)) }
    }

    /// Builds a job's state or summary, and then pauses.
    ///
    /// So building takes only a share of the time.
    private func build(_ job: JobID, share: Double) async {
        let start = ContinuousClock.now
        do {
            try await build(job)
        } catch {
            guard !Task.isCancelled else { return }
            logger.warning("cannot build the estimates of a job", metadata: ["job": "\(job)", "error": "\(error)"])
        }
        let elapsed = ContinuousClock.now - start
        do { try await Task.sleep(for: elapsed * (1 / share - 1)) } catch { return }
    }

    /// A job to build.
    private struct Candidate {
        let projection: Int16
        var sequence: EventSequence
        let state: JobState
        let startedAt: Timestamp?
        let finishedAt: Timestamp?
        let executions: Int64
        let description: JobDescription
    }

    /// Builds a job in one transaction, unless another process does.
    private func build(_ job: JobID) async throws {
        try await ledger.replayPool.withTransaction(deadline: Self.deadline) { transaction in
            let lock = Query(
                "select pg_try_advisory_xact_lock(hashtextextended($1, 0))", [.text("ledger.estimate \(job)")])
            let rows = try await transaction.pipeline([lock, Self.candidate(job)])
            guard try rows[0].first?.decode(0, as: Bool.self) == true, let row = rows[1].first else { return }
            let candidate = try Self.decode(row)
            let isLarge = candidate.executions > settings.estimateExecutionsMax
            let statements =
                switch (candidate.state, isLarge) {
                case (.completed, false): try await summarise(job, candidate, &transaction)
                case (.completed, true): try await summariseStored(job, candidate, &transaction)
                case (_, false): try await rebuild(job, candidate, &transaction)
                case (_, true): leave(job, candidate)
                }
            _ = try await transaction.commit(after: statements)
        }
    }

    /// Summarises a completed job.
    ///
    /// If events arrive in between, the job stays marked and is summarised again.
    private func summarise(
        _ job: JobID, _ candidate: Candidate, _ transaction: inout Transaction
    ) async throws -> [Query] {
        let marking = Self.marking(job, candidate, state: nil)
        guard let history = candidate.description.history,
            let group = ledger.summaries.group(of: candidate.description), let start = candidate.startedAt,
            let end = candidate.finishedAt
        else { return [marking] }
        let earlier = try await ledger.summaries.history(of: job, in: group, at: start)
        let review = Folding(
            RunReview(from: start, to: end, events: Int64(candidate.sequence - .start), history: earlier))
        try await read(job, through: candidate.sequence, &transaction) { event in try review.apply(event) }
        guard let sequence = review.finishSequence, let summary = review.review.summary(of: review.fold) else {
            return [marking]
        }
        let stored = RunSummaryStore.Summary(
            job: job, sequence: sequence, startedAt: start, finishedAt: end, history: history,
            score: review.review.score, summary: summary)
        return [stored.insertion, marking]
    }

    /// Summarises a completed job that is too large to be folded again.
    private func summariseStored(
        _ job: JobID, _ candidate: Candidate, _ transaction: inout Transaction
    ) async throws(PQError) -> [Query] {
        let run = StoredRun(job: job, projection: candidate.projection, sequence: candidate.sequence)
        guard let history = candidate.description.history, let start = candidate.startedAt,
            let end = candidate.finishedAt
        else { return [Self.marking(job, candidate, state: nil)] }
        guard let (finish, summary) = try await run.summary(in: &transaction) else { return leave(job, candidate) }
        let stored = RunSummaryStore.Summary(
            job: job, sequence: finish, startedAt: start, finishedAt: end, history: history, score: nil,
            summary: summary)
        return [stored.insertion, Self.marking(job, candidate, state: nil)]
    }

    /// Leaves a job without a state or a summary, because it is too large.
    private func leave(_ job: JobID, _ candidate: Candidate) -> [Query] {
        logger.warning(
            "a job has too many executions to build its estimates",
            metadata: ["job": "\(job)", "execution.count": "\(candidate.executions)"])
        return [Self.marking(job, candidate, state: nil)]
    }

    /// A review and its fold, as events arrive.
    private final class Folding {
        var review: RunReview
        var fold = Fold(tracksChanges: false)
        /// The last event that ended the job.
        var finishSequence: EventSequence?

        init(_ review: RunReview) {
            self.review = review
        }

        func apply(_ event: Event) throws(FoldStateError) {
            try review.apply(event, to: &fold)
            if event.body.type == .jobFinished { finishSequence = event.sequence }
        }
    }

    /// Builds the state of a job that has not completed, up to its snapshot.
    private func rebuild(
        _ job: JobID, _ candidate: Candidate, _ transaction: inout Transaction
    ) async throws -> [Query] {
        let folding = StateFolding()
        try await read(job, through: candidate.sequence, &transaction) { event in try folding.apply(event) }
        // From here on, the projection waits for this transaction.
        let locked = try await transaction.query(
            Query(
                """
                select sequence from ledger.snapshot
                where job_id = $1 and projection = $2 and is_live
                for update
                """, [.uuid(job.uuid), .int2(candidate.projection)]))
        guard let sequence = try locked.first?.decode(0, as: EventSequence.self) else { return [] }
        if sequence > candidate.sequence {
            try await EventCursor.read(
                [EventCursor.Part(job, after: candidate.sequence, through: sequence)], in: &transaction
            ) { _, event in try folding.apply(event) }
        }
        var current = candidate
        current.sequence = sequence
        return [Self.marking(job, current, state: folding.state.encoded)] + Self.parts(of: folding, job, candidate)
    }

    /// The statements that store the patterns and the work of the running executions.
    private static func parts(of folding: StateFolding, _ job: JobID, _ candidate: Candidate) -> [Query] {
        func update(_ table: String, _ column: String, _ parts: [(id: some FirstEventID, bytes: [UInt8])]) -> Query {
            Query(
                """
                update ledger.\(table) as stored
                set \(column) = built.bytes
                from unnest($3::bigint[], $4::bytea[]) as built (sequence, bytes)
                where stored.job_id = $1 and stored.projection = $2 and stored.sequence = built.sequence
                """,
                [
                    .uuid(job.uuid), .int2(candidate.projection), .ids(parts.map(\.id)),
                    .byteas(parts.map(\.bytes)),
                ])
        }
        let state = folding.state
        let patterns = folding.fold.indicatorStates.compactMap { indicator in
            state.encodedPattern(of: indicator.id).map { (indicator.id, $0) }
        }
        let work = folding.fold.executionStates.compactMap { execution in
            state.encodedWork(of: execution.id).map { (execution.id, $0) }
        }
        return [update("indicator", "pattern", patterns), update("execution", "work", work)]
    }

    private final class StateFolding {
        var state = EstimateState()
        var fold = Fold(tracksChanges: false)

        func apply(_ event: Event) throws(FoldStateError) { try state.apply(event, to: &fold) }
    }

    /// Reads a job's events in parts.
    ///
    /// Each part ends long before the time limit of a statement.
    private func read(
        _ job: JobID, through end: EventSequence, _ transaction: inout Transaction, _ body: (Event) throws -> Void
    ) async throws {
        var position: EventSequence = 0
        while position < end {
            let partEnd = min(end, position + settings.estimateEventsMax)
            try await EventCursor.read(
                [EventCursor.Part(job, after: position, through: partEnd)], in: &transaction
            ) { _, event in try body(event) }
            position = partEnd
        }
    }

    private static func candidate(_ job: JobID) -> Query {
        Query(
            """
            select
                snapshot.projection, snapshot.sequence, snapshot.state, snapshot.started_at, snapshot.finished_at,
                snapshot.executions, job.name, array(select jsonb_object_keys(job.tags)),
                array(select job.tags ->> key from jsonb_object_keys(job.tags) as key)
            from ledger.snapshot
            join ledger.job on job.job_id = snapshot.job_id
            where snapshot.job_id = $1 and snapshot.is_live and not snapshot.is_estimated
                and \(ClaimQueries.isFoldedHere)
            """, [.uuid(job.uuid)])
    }

    private static func decode(_ row: Row) throws(PQError) -> Candidate {
        var columns = row.columns
        let projection = try columns.next(Int16.self)
        let sequence = try columns.next(EventSequence.self)
        guard let state = JobState(rawValue: try columns.next()) else {
            throw PQError(.decoding, "a snapshot has an unknown state")
        }
        let startedAt = try columns.nextIfPresent(Timestamp.self)
        let finishedAt = try columns.nextIfPresent(Timestamp.self)
        let executions = try columns.next(Int64.self)
        let name = try columns.next(Name.self)
        let (names, values) = (try columns.next([Name].self), try columns.next([Name].self))
        let tags = Dictionary(zip(names, values), uniquingKeysWith: { _, last in last })
        return Candidate(
            projection: projection, sequence: sequence, state: state, startedAt: startedAt, finishedAt: finishedAt,
            executions: executions,
            description: JobDescription(name: name, tags: tags))
    }

    /// The statement that marks a job as built, unless its snapshot has moved on.
    private static func marking(_ job: JobID, _ candidate: Candidate, state: [UInt8]?) -> Query {
        Query(
            """
            update ledger.snapshot set is_estimated = true, estimate = coalesce($4, estimate)
            where job_id = $1 and projection = $2 and sequence = $3
            """, [.uuid(job.uuid), .int2(candidate.projection), .sequence(candidate.sequence), .bytea(state)])
    }
}
