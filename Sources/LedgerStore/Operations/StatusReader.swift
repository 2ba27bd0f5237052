internal import Ledger
internal import PQ

/// Reads the status of the ledger from its tables, not from workers' reports.
struct StatusReader: Sendable {
    let pool: Pool

    /// Planner settings for queries over all jobs.
    ///
    /// They may scan whole tables, which lookups by key must not.
    static let planning = [
        "enable_hashjoin = on", "enable_seqscan = on", "plan_cache_mode = force_custom_plan",
    ].map { Query("set local \($0)", prepare: false) }

    private static let deadline: Duration = .seconds(10)

    func status() async throws(PQError) -> LedgerStatus {
        let lag = try await lag()
        let results = try await inTransaction(
            [
                Self.workers, Self.stuckJobs, Self.replay, GuaranteeReader.query, Self.partitions, Self.unestimated,
                DeliveryStore.counts,
                // The login may see more of the server than the role, and less of the ledger.
                Self.asOurselves, Self.blocked, Self.vacuumHolders, Self.tables, Self.database,
            ])
        var workers: [LedgerStatus.Worker] = []
        for row in results[0] { workers.append(try Self.worker(row)) }
        var stuck: [LedgerStatus.StuckJob] = []
        for row in results[1] { stuck.append(try Self.stuckJob(row)) }
        var status = LedgerStatus(
            lag: lag, workers: workers, stuckJobs: stuck,
            stuckJobCount: try results[1].first?.decode(7) ?? 0, blocked: try Self.blockedSessions(results[8]),
            replay: try results[2].first?.decode(0, as: JobID.self))
        status.guaranteeFaults = try GuaranteeReader.faults(results[3])
        status.missingPartitions = try Self.missingMonths(results[4]).map(\.month)
        status.unestimatedJobs = try results[5].first?.decode(0) ?? 0
        for row in results[9] { status.vacuumHolders.append(try Self.vacuumHolder(row)) }
        for row in results[10] { status.tables.append(try Self.table(row)) }
        status.database = try results[11].first.map { row throws(PQError) in try Self.database(row) }
        status.notifications = try DeliveryStore.decodeCounts(results[6])
        return status
    }

    /// Counts the jobs without a state of estimates or a summary, by their index.
    private static let unestimated = Query(
        """
        select count(*) from (
            select from ledger.snapshot where is_live and not is_estimated limit \(LedgerStatus.unestimatedMax)
        ) as open
        """)

    /// The ways in which the database fails to keep the ledger append-only.
    func guaranteeFaults() async throws(PQError) -> [String] {
        try GuaranteeReader.faults(try await inTransaction([GuaranteeReader.query])[0])
    }

    /// A month without an attached partition.
    struct MissingMonth: Sendable {
        /// The month, such as `2026-11`.
        let month: String
        /// Whether it is the present month.
        let hasBegun: Bool
    }

    /// The months, of this one and the next, without an attached partition.
    func missingPartitions() async throws(PQError) -> [MissingMonth] {
        try Self.missingMonths(try await inTransaction([Self.partitions])[0])
    }

    /// Runs queries in one transaction, because `set local` needs an explicit one.
    private func inTransaction(_ queries: [Query]) async throws(PQError) -> [Rows] {
        return try await pool.withTransaction(readOnly: true, deadline: Self.deadline) { transaction throws(PQError) in
            try await transaction.commit(after: queries)
        }
    }

    // MARK: Lag

    /// Measures the lag of the snapshots of all jobs.
    ///
    /// The cost is a scan of the heads: some 200,000 per second.
    ///
    /// - Parameter ages: The ages of missing events with a time in the future.
    func lag(_ ages: FutureAges? = nil) async throws(PQError) -> LedgerStatus.Lag {
        let results = try await inTransaction(
            Self.planning + [
                Query(
                    """
                    with behind as materialized (
                        select
                            head.job_id, head.sequence - coalesce(snapshot.sequence, 0) as events,
                            coalesce(snapshot.sequence, 0) + 1 as next, head.recorded_at,
                            snapshot.sequence is null as is_missing
                        from ledger.job_head as head
                        left join ledger.snapshot on snapshot.job_id = head.job_id and snapshot.is_live
                        where head.sequence > coalesce(snapshot.sequence, 0)
                    ), aged as materialized (
                        -- If the event is missing or its time was ahead, the head's time is used.
                        select
                            behind.job_id, behind.events, behind.next,
                            extract(
                                epoch from clock_timestamp() - coalesce(
                                    (
                                        select event.recorded_at from ledger.event
                                        where event.job_id = behind.job_id and event.sequence = behind.next
                                        order by event.sequence
                                        limit 1
                                    ), behind.recorded_at
                                )
                            )::float8 as seconds
                        from behind
                    )
                    select
                        null::uuid, (select coalesce(sum(events), 0)::bigint from behind),
                        greatest(coalesce(max(seconds), 0), 0), (select count(*) from behind),
                        (select count(*) from behind where is_missing), null::bigint
                    from aged
                    union all
                    (
                        select job_id, events, greatest(seconds, 0), 0, 0, null
                        from aged order by seconds desc limit $1
                    )
                    union all
                    (select job_id, 0, 0, 0, 0, next from aged where seconds < 0 order by job_id limit $1)
                    """, [.int8(Int64(LedgerStatus.listMax))])
            ])
        guard let rows = results.last else { throw PQError(.decoding, "the query of the lag has no result") }
        var lag = LedgerStatus.Lag(jobs: 0, events: 0, seconds: 0)
        var future: [JobID: Int64] = [:]
        for row in rows {
            var columns = row.columns
            let job = try columns.nextIfPresent(JobID.self)
            let events = try columns.next(Int64.self)
            let seconds = try columns.next(Double.self)
            let jobs = try columns.next(Int64.self)
            let missing = try columns.next(Int64.self)
            let next = try columns.nextIfPresent(Int64.self)
            switch (job, next) {
            case (let job?, let next?): future[job] = next
            case (let job?, nil):
                lag.mostBehind.append(LedgerStatus.BehindJob(job: job, events: events, seconds: seconds))
            case (nil, _):
                lag.jobs = jobs
                lag.missingSnapshots = missing
                lag.events = events
                lag.seconds = seconds
            }
        }
        if let ages { lag.seconds = max(lag.seconds, ages.oldest(of: future)) }
        return lag
    }

    // MARK: Workers

    private static let workers = Query(
        """
        select
            worker, host, process, started_at, seen_at, \(WorkerHeartbeats.isLost), folded_at, folded_events, steps,
            failures, pending_jobs, failed_at, error_state, error
        from ledger.worker
        order by \(WorkerHeartbeats.isLost), seen_at desc, worker
        limit $1
        """, [.int8(1_000)])

    private static func worker(_ row: Row) throws(PQError) -> LedgerStatus.Worker {
        var columns = row.columns
        return LedgerStatus.Worker(
            worker: try columns.next(), host: try columns.next(), process: try columns.next(),
            startedAt: try columns.next(), seenAt: try columns.next(), isLost: try columns.next(),
            foldedAt: try columns.nextIfPresent(), foldedEvents: try columns.next(), steps: try columns.next(),
            failures: try columns.next(), pendingJobs: try columns.next(), lastFailure: try lastFailure(&columns))
    }

    private static func lastFailure(_ columns: inout RowColumns) throws(PQError) -> LedgerStatus.Failure? {
        guard let at = try columns.nextIfPresent(Timestamp.self) else { return nil }
        return LedgerStatus.Failure(
            at: at, state: try columns.nextIfPresent(), message: try columns.nextIfPresent() ?? "")
    }

    private static let stuckJobs = Query(
        """
        select stuck.job_id, stuck.since, stuck.failures, stuck.worker, stuck.failed_at, stuck.error_state, stuck.error,
            count(*) over ()
        from ledger.stuck_job as stuck
        where \(WorkerHeartbeats.isBehind)
        order by stuck.since, stuck.job_id
        limit $1
        """, [.int8(Int64(LedgerStatus.listMax))])

    private static func stuckJob(_ row: Row) throws(PQError) -> LedgerStatus.StuckJob {
        var columns = row.columns
        return LedgerStatus.StuckJob(
            job: try columns.next(), since: try columns.next(), failures: try columns.next(),
            worker: try columns.next(),
            failure: LedgerStatus.Failure(
                at: try columns.next(), state: try columns.nextIfPresent(), message: try columns.next()))
    }

    private static let replay = Query(
        "select job_id from ledger.replay where state in ('running', 'canceling', 'reverting')")

    // MARK: Blocked transactions

    /// PostgreSQL shows the activity of sessions to the login role only.
    ///
    /// A role that the session has taken does not count.
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
            var columns = row.columns
            guard let waiting = try session(&columns) else { continue }
            if blocked.last?.session.process != waiting.process {
                blocked.append(LedgerStatus.Blocked(session: waiting, blockers: []))
            }
            // A blocker that has ended in the meantime blocks no transaction.
            if let blocker = try session(&columns) { blocked[blocked.count - 1].blockers.append(blocker) }
        }
        return blocked
    }

    /// Decodes the session in the next five columns; nil if it has ended.
    private static func session(_ columns: inout RowColumns) throws(PQError) -> LedgerStatus.Session? {
        guard let process = try columns.nextIfPresent(Int32.self) else { return nil }
        return LedgerStatus.Session(
            process: process, application: try columns.nextIfPresent() ?? "", state: try columns.nextIfPresent(),
            seconds: try columns.nextIfPresent() ?? 0, statement: try columns.nextIfPresent())
    }

    // MARK: Partitions

    /// The months without an attached partition.
    ///
    /// A partition of several months counts for each of them. An open bound is null here.
    private static let partitions = Query(
        """
        select to_char(month at time zone 'UTC', 'YYYY-MM'), month = this_month
        from (
            select date_trunc('month', clock_timestamp() at time zone 'UTC') at time zone 'UTC' as this_month,
                (date_trunc('month', clock_timestamp() at time zone 'UTC') + interval '1 month') at time zone 'UTC'
                    as next_month,
                (date_trunc('month', clock_timestamp() at time zone 'UTC') + interval '2 months') at time zone 'UTC'
                    as month_after
        ) as clock
        cross join lateral (values (this_month, next_month), (next_month, month_after)) as required (month, following)
        where not exists (
            select from pg_inherits as attached
            join pg_class as part on part.oid = attached.inhrelid
            join pg_class as parent on parent.oid = attached.inhparent and parent.relname = 'event'
            join pg_namespace as schema on schema.oid = parent.relnamespace and schema.nspname = 'ledger'
            cross join lateral regexp_match(
                pg_get_expr(part.relpartbound, part.oid), 'FROM \\((.*)\\) TO \\((.*)\\)'
            ) as bound (texts)
            where not attached.inhdetachpending and bound.texts is not null
                and case bound.texts[1] when 'MINVALUE' then true
                    else trim(bound.texts[1], $$'$$)::uuid <= ledger.first_job_id(month) end
                and case bound.texts[2] when 'MAXVALUE' then true
                    else trim(bound.texts[2], $$'$$)::uuid >= ledger.first_job_id(following) end
        )
        order by month
        """)

    private static func missingMonths(_ rows: Rows) throws(PQError) -> [MissingMonth] {
        var months: [MissingMonth] = []
        for row in rows { months.append(MissingMonth(month: try row.decode(0), hasBegun: try row.decode(1))) }
        return months
    }

    // MARK: Vacuum

    /// The time in seconds after which a transaction that holds back vacuum is listed.
    ///
    /// Any statement holds it back for a moment.
    private static let holdingSeconds = 10.0
    /// The same limit in transactions, if the ledger's role may not see the start time.
    private static let holdingTransactions: Int64 = 1_000

    private static let vacuumHolders = Query(
        """
        select kind, name, process, seconds, transactions
        from (
            select
                case backend_type when 'walsender' then 'standby' else 'transaction' end as kind,
                coalesce(nullif(application_name, ''), 'unnamed session of ' || coalesce(usename, 'nobody')) as name,
                pid as process,
                case when backend_type <> 'walsender' then
                    extract(epoch from clock_timestamp() - xact_start)::float8
                end as seconds,
                greatest(age(backend_xid), age(backend_xmin))::bigint as transactions
            from pg_stat_activity
            where (backend_xid is not null or backend_xmin is not null) and pid <> pg_backend_pid()
                and (datname = current_database() or backend_type = 'walsender')
            union all
            select
                'prepared_transaction', gid, null, extract(epoch from clock_timestamp() - prepared)::float8,
                age(transaction)::bigint
            from pg_prepared_xacts
            where database = current_database()
            union all
            select
                'replication_slot', slot_name, active_pid, null, greatest(age(xmin), age(catalog_xmin))::bigint
            from pg_replication_slots
            where xmin is not null or catalog_xmin is not null
        ) as holder
        where kind in ('replication_slot', 'prepared_transaction') or seconds >= $1
            or (seconds is null and transactions >= $2)
        order by transactions desc, seconds desc nulls last, name
        limit $3
        """, [.float8(holdingSeconds), .int8(holdingTransactions), .int8(Int64(LedgerStatus.listMax))])

    private static func vacuumHolder(_ row: Row) throws(PQError) -> LedgerStatus.VacuumHolder {
        var columns = row.columns
        guard let kind = LedgerStatus.VacuumHolder.Kind(rawValue: try columns.next()) else {
            throw PQError(.decoding, "vacuum is held back by an unknown kind of holder")
        }
        return LedgerStatus.VacuumHolder(
            kind: kind, name: try columns.nextIfPresent() ?? "", process: try columns.nextIfPresent(),
            seconds: try columns.nextIfPresent(), transactions: try columns.nextIfPresent() ?? 0)
    }

    private static let tables = Query(
        """
        select
            relname::text, coalesce(n_live_tup, 0), coalesce(n_dead_tup, 0), greatest(last_vacuum, last_autovacuum)
        from pg_stat_all_tables
        where schemaname = 'ledger' and relname = any ($1)
        order by relname
        """,
        [
            .texts([
                "job_head", "snapshot", "indicator", "task", "execution", "report_page", "worker", "replay_job",
            ])
        ])

    private static func table(_ row: Row) throws(PQError) -> LedgerStatus.TableHealth {
        var columns = row.columns
        return LedgerStatus.TableHealth(
            table: try columns.next(), liveRows: try columns.next(), deadRows: try columns.next(),
            vacuumedAt: try columns.nextIfPresent())
    }

    // MARK: Durability

    // Without the privileges of pg_read_all_stats, PostgreSQL shows only the processes that send to standbys.
    private static let database = Query(
        """
        select
            split_part(current_setting('server_version'), ' ', 1), current_setting('synchronous_commit'),
            current_setting('synchronous_standby_names'),
            (
                select case when bool_or(sync_state is null) then null
                    else count(*) filter (where sync_state in ('sync', 'quorum')) end
                from pg_stat_replication
            ),
            current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean
        """)

    private static func database(_ row: Row) throws(PQError) -> LedgerStatus.Database {
        var columns = row.columns
        return LedgerStatus.Database(
            version: try columns.next(), synchronousCommit: try columns.next(),
            synchronousStandbyNames: try columns.next(), synchronousStandbys: try columns.nextIfPresent(),
            fsync: try columns.next(), fullPageWrites: try columns.next())
    }
}
