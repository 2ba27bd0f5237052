internal import Ledger
internal import LedgerChain
internal import PQ

/// Writes groups of appends.
struct GroupCommitWriter: Sendable {
    let pool: Pool
    /// The clock by which readings of the database's clock age.
    var now: @Sendable () -> ContinuousClock.Instant = { .now }

    /// Locks heads in the order of ids, so that two servers cannot deadlock.
    static func lockHeads(_ jobs: [JobID]) -> Query {
        Query(
            """
            select job_id, sequence, recorded_at, hash, clock_timestamp(), retired_hash is not null
            from ledger.job_head
            where job_id = any ($1)
            order by job_id
            for update
            """, [.uuids(jobs.map(\.uuid))])
    }

    /// Reads the last event that cancels each of these jobs after a sequence.
    ///
    /// It runs while the heads are locked, so no later event exists. It reads the events between the snapshot and the
    /// head, which are few: see ``PostgresLedger/append(_:to:unlessCanceledWithin:)``.
    private static func cancels(_ jobs: [JobID: EventSequence]) -> Query {
        let jobs = jobs.sorted { $0.key < $1.key }
        return Query(
            """
            select conditional.job_id, max(event.sequence)
            from unnest($1::uuid[], $2::bigint[]) as conditional (job_id, sequence)
            join ledger.event
                on event.job_id = conditional.job_id and event.sequence > conditional.sequence
                    and event.type = \(EventType.jobFinished.rawValue)
                    and event.outcome = '\(JobOutcome.canceled.rawValue)'
            group by conditional.job_id
            """, [.uuids(jobs.map(\.key.uuid)), .sequences(jobs.map(\.value))])
    }

    /// The jobs with conditional appends, each with the lowest sequence of a condition.
    private static func conditions(of requests: [AppendRequest]) -> [JobID: EventSequence] {
        var conditions: [JobID: EventSequence] = [:]
        for request in requests {
            for part in request.parts {
                guard let after = part.unlessCanceledAfter else { continue }
                conditions[part.job] = min(after, conditions[part.job] ?? after)
            }
        }
        return conditions
    }

    /// The jobs with heads that can be locked now, and the jobs that do not exist.
    func lockable(_ jobs: Set<JobID>) async throws(PQError) -> Set<JobID> {
        let rows = try await pool.query(
            Query(
                """
                select requested.job_id
                from unnest($1::uuid[]) as requested (job_id)
                where requested.job_id in (
                        select job_id from ledger.job_head where job_id = any ($1) for update skip locked
                    )
                    or not exists (select from ledger.job_head as head where head.job_id = requested.job_id)
                """, [.uuids(jobs.map(\.uuid))]))
        var free: Set<JobID> = []
        for row in rows { free.insert(try row.decode(0, as: JobID.self)) }
        return free
    }

    /// A recorded group.
    struct WriteResult {
        let plan: GroupCommitPlan
        /// The database's clock, read no later than `readAt`.
        let clock: Timestamp
        let readAt: ContinuousClock.Instant
    }

    /// The result of a conditional write.
    enum Attempt {
        case written(WriteResult)
        /// Nothing was recorded.
        ///
        /// Another server has moved a head, or the planned time became stale while the statement waited for the
        /// database or for locks, or the database's clock was set back.
        case refused
    }

    /// Writes the appends in one round trip, on condition that the heads are current.
    func writeIfUnchanged(
        _ requests: [AppendRequest], from heads: [JobID: JobHead], clock: Timestamp
    ) async throws(GroupCommitFailure) -> Attempt {
        let plan = await Self.plan(requests, heads: heads, clock: clock)
        guard plan.columns.count > 0 else { return .written(WriteResult(plan: plan, clock: clock, readAt: now())) }
        do throws(PQError) {
            guard let (clock, inserted) = try await send(plan) else { return .refused }
            try Self.check(inserted, plan)
            return .written(WriteResult(plan: plan, clock: clock, readAt: now()))
        } catch {
            // The planned time became stale while the statement waited for the row lock.
            if error.sqlState == .staleWrite { return .refused }
            throw GroupCommitFailure(
                error: error, plan: error.mayHaveCommitted ? plan : nil, expiry: plan.expiry)
        }
    }

    /// Sends the conditional queries of a plan.
    ///
    /// - Returns: The database's clock and the number of inserted events; nil if a head has moved.
    private func send(_ plan: GroupCommitPlan) async throws(PQError) -> (clock: Timestamp, inserted: Int)? {
        if plan.columns.count <= Self.oneStatementEventsMax {
            let rows = try await pool.query(plan.conditionalQuery, isDurableWrite: true)
            guard let row = rows.first else { return nil }
            return (try row.decode(0, as: Timestamp.self), try row.decode(1, as: Int.self))
        }
        let results = try await pool.pipeline(plan.conditionalTransaction, isDurableWrite: true)
        let inserted = results[1].affectedRows
        return inserted > 0 ? (try results[0][0].decode(0, as: Timestamp.self), inserted) : nil
    }

    static func check(_ inserted: Int, _ plan: GroupCommitPlan) throws(PQError) {
        guard inserted == plan.columns.count else {
            throw PQError(.decoding, "inserted \(inserted) of \(plan.columns.count) events")
        }
    }

    /// Writes the appends in one transaction with locked heads, in two round trips.
    ///
    /// Each append succeeds or fails by itself. If the database fails, all appends fail, and nothing was recorded
    /// unless the outcome is unknown according to the error.
    func writeWithLocks(_ requests: [AppendRequest]) async throws(GroupCommitFailure) -> WriteResult {
        let jobs = Set(requests.flatMap { $0.parts.map(\.job) }).sorted()
        let conditions = Self.conditions(of: requests)
        var attempted: GroupCommitPlan?
        do throws(PQError) {
            return try await pool.withTransaction { transaction throws(PQError) in
                let reads = [Self.lockHeads(jobs)] + (conditions.isEmpty ? [] : [Self.cancels(conditions)])
                let found = try await transaction.pipeline(reads)
                var (heads, clock) = try Self.decode(found[0])
                for (job, after) in conditions { heads[job]?.cancelsKnownAfter = after }
                for row in found.dropFirst().joined() {
                    heads[try row.decode(0, as: JobID.self)]?.lastCancel = try row.decode(1)
                }
                let readAt = now()
                let plan = await Self.plan(requests, heads: heads, clock: clock)
                attempted = plan
                let rows = try await transaction.commit(after: plan.statementsForLockedHeads)
                try Self.check(rows.first?.affectedRows ?? 0, plan)
                return WriteResult(plan: plan, clock: clock, readAt: readAt)
            }
        } catch {
            throw GroupCommitFailure(error: error, plan: error.mayHaveCommitted ? attempted : nil)
        }
    }

    /// Plans a group.
    ///
    /// Many events are hashed on another thread, because this thread serves all connections.
    static func plan(
        _ requests: [AppendRequest], heads: [JobID: JobHead], clock: Timestamp
    ) async -> GroupCommitPlan {
        guard requests.reduce(0, { $0 + $1.eventCount }) > oneStatementEventsMax else {
            return GroupCommitPlan(requests, heads: heads, plannedAt: clock)
        }
        return await ComputeThreads.run { GroupCommitPlan(requests, heads: heads, plannedAt: clock) }
    }

    /// The number of events up to which a group is small.
    ///
    /// A small group is hashed on the reactor's thread and written in one statement.
    static let oneStatementEventsMax = 256

    static func decode(_ rows: Rows) throws(PQError) -> ([JobID: JobHead], Timestamp) {
        var heads: [JobID: JobHead] = [:]
        var clock = Timestamp.earliest
        for row in rows {
            heads[try row.decode(0, as: JobID.self)] = JobHead(
                sequence: try row.decode(1), recordedAt: try row.decode(2, as: Timestamp.self),
                chain: HashChain(lastHash: try row.decode(3, as: EventHash.self)), isRetired: try row.decode(5))
            clock = max(clock, try row.decode(4, as: Timestamp.self))
        }
        return (heads, clock)
    }
}
