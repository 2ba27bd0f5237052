internal import Ledger
internal import PQ

/// Reads how the ledger fares, from the ledger itself: not from what workers say of themselves.
struct StatusReader: Sendable {
    let pool: Pool

    /// Where all jobs are looked at, PostgreSQL may read its tables as a whole, which lookups by key must not.
    private static let planning = [
        "enable_hashjoin = on", "enable_seqscan = on", "plan_cache_mode = force_custom_plan",
    ].map { Query("set local \($0)", prepare: false) }

    private static let deadline: Duration = .seconds(10)

    func status() async throws(PQError) -> LedgerStatus {
        let lag = try await lag()
        let results = try await inTransaction(
            [Self.workers, Self.stuckJobs, Self.replay, Self.asOurselves, Self.blocked])
        var workers: [LedgerStatus.Worker] = []
        for row in results[0] { workers.append(try Self.worker(row)) }
        var stuck: [LedgerStatus.StuckJob] = []
        for row in results[1] { stuck.append(try Self.stuckJob(row)) }
        return LedgerStatus(
            lag: lag, workers: workers, stuckJobs: stuck,
            stuckJobCount: try results[1].first?.decode(7) ?? 0, blocked: try Self.blockedSessions(results[4]),
            replay: try results[2].first?.jobID(0))
    }

    /// Settings that are to hold for these statements alone need a transaction that says that it is one.
    private func inTransaction(_ queries: [Query]) async throws(PQError) -> [Rows] {
        do {
            return try await pool.withTransaction(readOnly: true, deadline: Self.deadline) { transaction in
                try await transaction.commit(after: queries)
            }
        } catch let error as PQError {
            throw error
        } catch {
            throw PQError(.misuse, "\(error)")
        }
    }

    // MARK: Lag

    /// How far the snapshots of all jobs are behind. Costs a pass over the heads: some 200,000 a second.
    func lag() async throws(PQError) -> LedgerStatus.Lag {
        let results = try await inTransaction(
            Self.planning + [
                Query(
                    """
                    with behind as materialized (
                        select
                            head.job_id, head.sequence - coalesce(snapshot.sequence, 0) as events,
                            coalesce(snapshot.sequence, 0) + 1 as next, head.recorded_at
                        from ledger.job_head as head
                        left join ledger.snapshot on snapshot.job_id = head.job_id and snapshot.is_live
                        where head.sequence > coalesce(snapshot.sequence, 0)
                    ), aged as materialized (
                        -- Of an event that is not there, as of one whose clock was ahead, the head's time is taken.
                        select
                            behind.job_id, behind.events,
                            greatest(
                                extract(
                                    epoch from clock_timestamp() - coalesce(missing.recorded_at, behind.recorded_at)
                                ), 0
                            )::float8 as seconds
                        from behind
                        left join lateral (
                            select recorded_at from ledger.event
                            where event.job_id = behind.job_id and event.sequence = behind.next
                            limit 1
                        ) as missing on true
                    )
                    select
                        null::uuid, (select coalesce(sum(events), 0)::bigint from behind),
                        coalesce(max(seconds), 0), (select count(*) from behind)
                    from aged
                    union all
                    (select job_id, events, seconds, 0 from aged order by seconds desc limit $1)
                    """, [.int8(Int64(LedgerStatus.listMax))])
            ])
        guard let rows = results.last else { throw PQError(.decoding, "the lag has no result") }
        var lag = LedgerStatus.Lag(jobs: 0, events: 0, seconds: 0)
        for row in rows {
            if let job = try row.decodeIfPresent(0, as: UUIDBytes.self) {
                lag.mostBehind.append(
                    LedgerStatus.BehindJob(job: JobID(job), events: try row.decode(1), seconds: try row.decode(2)))
            } else {
                lag.jobs = try row.decode(3)
                lag.events = try row.decode(1)
                lag.seconds = try row.decode(2)
            }
        }
        return lag
    }

    // MARK: Workers

    private static let workers = Query(
        """
        select
            worker, host, process, started_at, seen_at,
            seen_at < clock_timestamp() - $1 * interval '1 second', folded_at, folded_events, steps, failures,
            pending_jobs, failed_at, error_state, error
        from ledger.worker
        order by seen_at < clock_timestamp() - $1 * interval '1 second', seen_at desc, worker
        limit $2
        """, [.int8(Int64(WorkerBoard.lostSeconds)), .int8(1_000)])

    private static func worker(_ row: Row) throws(PQError) -> LedgerStatus.Worker {
        var failure: LedgerStatus.Failure?
        if let at = try row.timestampIfPresent(11) {
            failure = LedgerStatus.Failure(
                at: at, state: try row.decodeIfPresent(12), message: try row.decodeIfPresent(13) ?? "")
        }
        return LedgerStatus.Worker(
            worker: try row.decode(0), host: try row.decode(1), process: try row.decode(2),
            startedAt: try row.timestamp(3), seenAt: try row.timestamp(4), isLost: try row.decode(5),
            foldedAt: try row.timestampIfPresent(6), foldedEvents: try row.decode(7), steps: try row.decode(8),
            failures: try row.decode(9), pendingJobs: try row.decode(10), lastFailure: failure)
    }

    private static let stuckJobs = Query(
        """
        select stuck.job_id, stuck.since, stuck.failures, stuck.worker, stuck.failed_at, stuck.error_state, stuck.error,
            count(*) over ()
        from ledger.stuck_job as stuck
        where \(WorkerBoard.isBehind)
        order by stuck.since, stuck.job_id
        limit $1
        """, [.int8(Int64(LedgerStatus.listMax))])

    private static func stuckJob(_ row: Row) throws(PQError) -> LedgerStatus.StuckJob {
        LedgerStatus.StuckJob(
            job: try row.jobID(0), since: try row.timestamp(1), failures: try row.decode(2),
            worker: try row.decode(3),
            failure: LedgerStatus.Failure(
                at: try row.timestamp(4), state: try row.decodeIfPresent(5), message: try row.decode(6)))
    }

    private static let replay = Query(
        "select job_id from ledger.replay where state in ('running', 'canceling', 'reverting')")

    // MARK: Blocked transactions

    /// PostgreSQL shows what a session does to the role that it has logged in as, not to the role that it has taken.
    private static let asOurselves = Query("set local role none", prepare: false)

    private static let blocked = Query(
        """
        select
            waiting.pid, waiting.application_name, waiting.state,
            extract(epoch from clock_timestamp() - waiting.query_start)::float8,
            left(regexp_replace(waiting.query, '\\s+', ' ', 'g'), 200),
            holding.pid, holding.application_name, holding.state,
            extract(epoch from clock_timestamp() - holding.xact_start)::float8,
            left(regexp_replace(holding.query, '\\s+', ' ', 'g'), 200)
        from (
            select * from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'
            order by query_start
            limit $1
        ) as waiting
        cross join lateral unnest(pg_blocking_pids(waiting.pid)) as blocker (pid)
        left join pg_stat_activity as holding on holding.pid = blocker.pid
        order by waiting.query_start, waiting.pid, holding.pid
        """, [.int8(Int64(LedgerStatus.blockedMax))])

    private static func blockedSessions(_ rows: Rows) throws(PQError) -> [LedgerStatus.Blocked] {
        var blocked: [LedgerStatus.Blocked] = []
        for row in rows {
            let waiting = try session(row, 0)
            if blocked.last?.session.process != waiting.process {
                blocked.append(LedgerStatus.Blocked(session: waiting, blockers: []))
            }
            // One that has ended meanwhile blocks nobody.
            if try row.decodeIfPresent(5, as: Int32.self) != nil {
                blocked[blocked.count - 1].blockers.append(try session(row, 5))
            }
        }
        return blocked
    }

    private static func session(_ row: Row, _ column: Int) throws(PQError) -> LedgerStatus.Session {
        LedgerStatus.Session(
            process: try row.decode(column), application: try row.decodeIfPresent(column + 1) ?? "",
            state: try row.decodeIfPresent(column + 2), seconds: try row.decodeIfPresent(column + 3) ?? 0,
            statement: try row.decodeIfPresent(column + 4))
    }
}
