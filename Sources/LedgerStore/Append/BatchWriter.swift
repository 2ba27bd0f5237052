internal import Ledger
internal import LedgerChain
internal import PQ

/// One append on its way: events of one or more jobs, all or nothing.
struct AppendRequest: Sendable {
    /// The drafts of one job, in order.
    struct Part: Sendable {
        let job: JobID
        var drafts: [EventDraft]
    }

    /// One part for each job.
    let parts: [Part]
    /// How many events there are.
    let eventCount: Int
    /// About how many bytes of memory they take.
    let byteCount: Int

    init(parts: [Part]) {
        self.parts = parts
        eventCount = parts.reduce(0) { $0 + $1.drafts.count }
        byteCount = parts.reduce(0) { sum, part in part.drafts.reduce(sum) { $0 + $1.approximateBytes } }
    }
}

extension EventDraft {
    /// About how much memory the draft takes: its texts and a fixed part for the rest.
    fileprivate var approximateBytes: Int {
        let reference = body.reference
        var bytes = 200 + (reference?.task.text.utf8.count ?? 0) + (reference?.execution?.text.utf8.count ?? 0)
        if case .progress(let progress) = body { bytes += progress.label?.text.utf8.count ?? 0 }
        return bytes
    }
}

/// What became of one append.
typealias AppendResult = Result<[(job: JobID, sequences: ClosedRange<Int64>)], StoreError>

/// The effects of a write.
struct BatchWriter: Sendable {
    let pool: Pool

    /// The heads, locked in the order of ids: two servers that lock the same ones do not wait for each other in a ring.
    private static func lockHeads(_ jobs: [JobID]) -> Query {
        Query(
            """
            select job_id, sequence, recorded_at, hash, clock_timestamp()
            from ledger.job_head
            where job_id = any ($1)
            order by job_id
            for update
            """, [.uuids(jobs.map(\.uuid))])
    }

    /// The same heads, without a lock: what is read may be out of date at once.
    private static func readHeads(_ jobs: [JobID]) -> Query {
        Query(
            """
            select job_id, sequence, recorded_at, hash, clock_timestamp()
            from ledger.job_head
            where job_id = any ($1)
            """, [.uuids(jobs.map(\.uuid))])
    }

    /// Where those of these jobs that there are stand, and the database's clock.
    ///
    /// - Parameter locking: Whether to lock them for the moment, which only a database does that may be written to.
    func heads(of jobs: [JobID], locking: Bool) async throws(PQError) -> (heads: [JobID: JobHead], clock: Timestamp) {
        try Self.decode(try await pool.query(locking ? Self.lockHeads(jobs) : Self.readHeads(jobs)))
    }

    /// Those of these jobs whose heads nobody else has locked now, and those that there are not.
    func lockable(_ jobs: Set<JobID>) async throws(PQError) -> Set<JobID> {
        let rows = try await pool.query(
            Query(
                """
                select wanted.job_id
                from unnest($1::uuid[]) as wanted (job_id)
                where wanted.job_id in (
                        select job_id from ledger.job_head where job_id = any ($1) for update skip locked
                    )
                    or not exists (select from ledger.job_head as head where head.job_id = wanted.job_id)
                """, [.uuids(jobs.map(\.uuid))]))
        var free: Set<JobID> = []
        for row in rows { free.insert(try row.jobID(0)) }
        return free
    }

    /// What a write has done.
    struct WriteResult {
        let plan: BatchPlan
        /// The database's clock, before `readAt`.
        let clock: Timestamp
        let readAt: ContinuousClock.Instant
    }

    /// What came of a write that only writes where the heads are as they are given.
    enum Attempt {
        case written(WriteResult)
        /// Nothing was written: another server has moved a head; or it took so long to get to the database, or to the locks,
        /// that the time it was planned with is no longer right; or the database's clock was set back.
        case refused
    }

    /// Writes the appends in one statement and one round trip, where the heads are as they are given.
    func write(
        _ requests: [AppendRequest], from heads: [JobID: JobHead], clock: Timestamp
    ) async throws(BatchFailure) -> Attempt {
        let plan = await Self.plan(requests, heads: heads, clock: clock)
        guard plan.columns.count > 0 else { return .written(WriteResult(plan: plan, clock: clock, readAt: .now)) }
        do throws(PQError) {
            guard let (clock, inserted) = try await write(plan) else { return .refused }
            try Self.check(inserted, plan)
            return .written(WriteResult(plan: plan, clock: clock, readAt: .now))
        } catch {
            // Its clock was right when it came, and no longer when it had waited for the lock.
            if error.sqlState == .divisionByZero { return .refused }
            throw BatchFailure(
                error: error, plan: error.mayHaveCommitted ? plan : nil, refusedFrom: plan.refusedFrom)
        }
    }

    /// - Returns: The database's clock, and how many events were inserted; nil where the heads are not as the plan has them.
    private func write(_ plan: BatchPlan) async throws(PQError) -> (clock: Timestamp, inserted: Int)? {
        if plan.columns.count <= Self.fewEvents {
            let rows = try await pool.query(plan.statementIfUnchanged, isDurableWrite: true)
            guard let row = rows.first else { return nil }
            return (try row.timestamp(0), try row.decode(1, as: Int.self))
        }
        let results = try await pool.pipeline(plan.statementsIfUnchanged, isDurableWrite: true)
        let inserted = results[1].affectedRows
        return inserted > 0 ? (try results[0][0].timestamp(0), inserted) : nil
    }

    private static func check(_ inserted: Int, _ plan: BatchPlan) throws(PQError) {
        guard inserted == plan.columns.count else {
            throw PQError(.decoding, "inserted \(inserted) of \(plan.columns.count) events")
        }
    }

    /// Writes the appends in one transaction, in two round trips, whoever else moves the heads meanwhile. Each append
    /// succeeds or fails by itself; where the database fails, all do, and nothing was written unless the error's outcome is
    /// unknown.
    func write(_ requests: [AppendRequest]) async throws(BatchFailure) -> WriteResult {
        let jobs = Set(requests.flatMap { $0.parts.map(\.job) }).sorted()
        var attempted: BatchPlan?
        do {
            return try await pool.withTransaction { transaction in
                let (heads, clock) = try Self.decode(try await transaction.query(Self.lockHeads(jobs)))
                let readAt = ContinuousClock.now
                let plan = await Self.plan(requests, heads: heads, clock: clock)
                attempted = plan
                let rows = try await transaction.commit(after: plan.statements)
                try Self.check(rows.first?.affectedRows ?? 0, plan)
                return WriteResult(plan: plan, clock: clock, readAt: readAt)
            }
        } catch let error as PQError {
            throw BatchFailure(error: error, plan: error.mayHaveCommitted ? attempted : nil)
        } catch {
            throw BatchFailure(error: PQError(.misuse, "\(error)"), plan: nil)
        }
    }

    /// A few events are hashed on the spot; many would keep everybody's connections waiting, which live on this thread.
    private static func plan(
        _ requests: [AppendRequest], heads: [JobID: JobHead], clock: Timestamp
    ) async -> BatchPlan {
        guard requests.reduce(0, { $0 + $1.eventCount }) > fewEvents else {
            return BatchPlan(requests, heads: heads, clock: clock)
        }
        return await withTaskExecutorPreference(globalConcurrentExecutor) {
            BatchPlan(requests, heads: heads, clock: clock)
        }
    }

    /// Up to so many events are hashed where the connections live, and written in one statement.
    static let fewEvents = 256

    private static func decode(_ rows: Rows) throws(PQError) -> ([JobID: JobHead], Timestamp) {
        var heads: [JobID: JobHead] = [:]
        var clock = Timestamp.earliest
        for row in rows {
            heads[try row.jobID(0)] = JobHead(
                sequence: try row.decode(1), recordedAt: try row.timestamp(2),
                chain: HashChain(head: try row.decode(3, as: [UInt8].self)))
            clock = max(clock, try row.timestamp(4))
        }
        return (heads, clock)
    }

    /// What has become of a write that was cut off.
    enum OutcomeResolution {
        case tookPlace
        /// It did not, and never will.
        case isOff
        /// It did not yet, and might for so long.
        case isOpen(Duration)
    }

    /// Finds out what has become of a write that was cut off.
    ///
    /// One that held the heads' locks holds them until its transaction has ended, so the lock is only to be had then. One
    /// that only compares may not have begun when we have the lock: but it looks at the clock when it holds the lock
    /// itself, and refuses from a certain time on, so it is off once that time has come while we hold it. The event at its
    /// last place either bears the hash that was to be written, which nothing else can have, or it does not.
    ///
    /// That the event is visible does not prove that it is durable: the wait for a standby may have been cut off. But the
    /// lock is a write of its own, later in the log, and its commit is acknowledged only when the standbys have confirmed
    /// the log up to there. So if this transaction commits, so has the event.
    ///
    /// - Parameter refusedFrom: For one that only compares, the time by the database's clock from which on it refuses.
    func resolveOutcome(_ plan: BatchPlan, refusedFrom: Timestamp?) async throws(PQError) -> OutcomeResolution {
        guard let (job, head) = plan.newHeads.first else { return .tookPlace }
        do {
            return try await pool.withTransaction { transaction in
                let rows = try await transaction.pipeline([
                    Self.lockHeads([job]),
                    Query(
                        "select hash from ledger.event where job_id = $1 and sequence = $2",
                        [.uuid(job.uuid), .int8(head.sequence)]),
                    Query("select clock_timestamp()"),
                ])
                if try rows[1].first?.decode(0, as: [UInt8].self) == head.chain.head { return .tookPlace }
                guard let refusedFrom else { return .isOff }
                let rest = refusedFrom.microseconds - (try rows[2][0].timestamp(0).microseconds)
                return rest < 0 ? .isOff : .isOpen(.microseconds(rest + 1_000))
            }
        } catch let error as PQError {
            throw error
        } catch {
            throw PQError(.misuse, "\(error)")
        }
    }
}

/// A write that failed.
struct BatchFailure: Error {
    let error: PQError
    /// What may have been written all the same.
    let plan: BatchPlan?
    /// Until when, by the database's clock, it may still be: nil for what held the locks.
    var refusedFrom: Timestamp?
}
