public import Ledger
public import Logging
public import PQ

/// The owner's access to the ledger for retiring jobs.
///
/// The services cannot retire jobs: their role may not delete events. The retirement of a single job is one
/// transaction. That of a month has several steps (``MonthRetirement/Step``).
public struct RetirementStore: Sendable {
    private let pool: Pool

    /// The number of jobs that are recorded as retired in one transaction.
    public static let jobsPerTransactionMax = 1_000
    /// The number of unfinished jobs that are named.
    public static let unfinishedMax = 20
    /// The time that a statement waits for locks.
    private static let lockTimeout = "10s"
    /// The time limit of a transaction that records jobs or deletes their events.
    private static let recordDeadline: Duration = .seconds(600)
    /// The time that a detachment waits for transactions that use the event table.
    ///
    /// A replay's transactions last for up to five minutes.
    private static let detachDeadline: Duration = .seconds(600)

    /// Connects as the owner of the ledger.
    ///
    /// - Throws: ``StoreError/Code/schema`` if the login may not act as the owner.
    public init(target: ConnectionTarget, logger: Logger) async throws(StoreError) {
        let login = Pool(target: target, settings: Self.settings(role: nil), logger: logger)
        let owner: Result<String, StoreError>
        do throws(StoreError) { owner = .success(try await Self.owner(login)) } catch { owner = .failure(error) }
        await login.close()
        pool = Pool(target: target, settings: Self.settings(role: try owner.get()), logger: logger)
    }

    /// Closes the connections.
    public func close() async { await pool.close() }

    private static func settings(role: String?) -> Pool.Settings {
        var settings = Pool.Settings()
        settings.connectionsMax = 2
        settings.applicationName = "progress-ledger retire"
        settings.session = LedgerSession.requirements(
            role: role, statementTimeout: .seconds(3_600), idleTimeout: .seconds(60), lockTimeout: lockTimeout)
        settings.session.isWritable = true
        return settings
    }

    private static func owner(_ pool: Pool) async throws(StoreError) -> String {
        let row = try await attempting("finding the owner of the ledger") { () throws(PQError) in
            try await pool.query(
                Query(
                    """
                    select pg_get_userbyid(nspowner)::text, pg_has_role(current_user, nspowner, 'MEMBER'),
                        current_user::text
                    from pg_namespace
                    where nspname = 'ledger'
                    """)
            ).first
        }
        guard let row else { throw StoreError(.schema, "the database contains no ledger") }
        return try await attempting("finding the owner of the ledger") {
            () throws(PQError) -> Result<String, StoreError> in
            let owner = try row.decode(0, as: String.self)
            guard try !row.decode(1, as: Bool.self) else { return .success(owner) }
            return .failure(
                StoreError(
                    .schema,
                    "user \(try row.decode(2, as: String.self)) does not own the ledger: log in as \(owner), with which it "
                        + "is migrated"))
        }.get()
    }

    // MARK: Jobs

    /// Returns the head of a job, or `nil` if the job does not exist or has none.
    public func head(of job: JobID) async throws(StoreError) -> LedgerHead? {
        try await heads("job.job_id = $1", [.uuid(job.uuid)], limit: 1).first
    }

    /// Returns the jobs of a month that are not retired, in the order of their ids.
    public func openJobs(
        of month: Month, after cursor: JobID?, limit: Int
    ) async throws(StoreError) -> [LedgerHead] {
        try await heads(
            "\(Self.isInMonth) and job.job_id > $3 and head.retired_hash is null",
            [
                .text(month.firstDay), .text(month.advanced(by: 1).firstDay),
                .uuid((cursor ?? JobID(high: 0, low: 0)).uuid),
            ],
            limit: limit)
    }

    private func heads(
        _ condition: String, _ parameters: [Parameter], limit: Int
    ) async throws(StoreError) -> [LedgerHead] {
        try await attempting("reading heads") { () throws(PQError) in
            let rows = try await pool.query(
                Query(
                    """
                    select job.job_id, head.sequence, head.hash
                    from ledger.job
                    left join ledger.job_head as head on head.job_id = job.job_id
                    where \(condition)
                    order by job.job_id
                    limit $\(parameters.count + 1)
                    """, parameters + [.int8(Int64(limit))]))
            var heads: [LedgerHead] = []
            for row in rows {
                let sequence = try row.decodeIfPresent(1, as: EventSequence.self)
                let hash = try row.decodeIfPresent(2, as: EventHash.self)
                let position = sequence.flatMap { sequence in hash.map { ChainPosition(sequence: sequence, hash: $0) } }
                heads.append(LedgerHead(job: try row.decode(0), position: position))
            }
            return heads
        }
    }

    /// The condition for jobs that were created between two times, `$1` and `$2`.
    private static let isInMonth = """
        job.job_id >= ledger.first_job_id($1::text::timestamptz) and job.job_id < ledger.first_job_id($2::text::timestamptz)
        """

    /// A job that cannot be retired yet, and the reason.
    public struct Unfinished: Hashable, Sendable {
        public let job: JobID
        /// The reason as the end of a sentence.
        public let reason: String
    }

    /// Computes as `checked.reason` why a job cannot be retired yet.
    ///
    /// Null if it can.
    private static let obstacle = """
        cross join lateral (
            select case
                when head.job_id is null then 'has no head: verify it'
                when snapshot.sequence is distinct from head.sequence
                    then 'has events that are not folded yet: check that a worker is running'
                when snapshot.state = 'running' then 'is running'
            end as reason
        ) as checked
        """

    /// Returns the reason why a job cannot be retired yet.
    ///
    /// Nil if it can be retired, or does not exist.
    public func obstacle(to job: JobID) async throws(StoreError) -> Unfinished? {
        try await attempting("looking at the state of a job") { () throws(PQError) in
            let rows = try await pool.query(
                Query(
                    """
                    select checked.reason
                    from ledger.job
                    left join ledger.job_head as head on head.job_id = job.job_id
                    \(LiveSnapshot.join(of: "job.job_id"))
                    \(Self.obstacle)
                    where job.job_id = $1 and checked.reason is not null
                    """, [.uuid(job.uuid)]))
            return try rows.first.map { row throws(PQError) in Unfinished(job: job, reason: try row.decode(0)) }
        }
    }

    /// Returns the first unfinished jobs of a month, and the number of all of them.
    public func unfinishedJobs(of month: Month) async throws(StoreError) -> (first: [Unfinished], count: Int64) {
        try await attempting("looking for unfinished jobs") { () throws(PQError) in
            let rows = try await pool.query(
                Query(
                    """
                    select job.job_id, checked.reason, count(*) over ()
                    from ledger.job
                    left join ledger.job_head as head on head.job_id = job.job_id
                    \(LiveSnapshot.join(of: "job.job_id"))
                    \(Self.obstacle)
                    where \(Self.isInMonth) and head.retired_hash is null and checked.reason is not null
                    order by job.job_id
                    limit $3
                    """,
                    [
                        .text(month.firstDay), .text(month.advanced(by: 1).firstDay), .int8(Int64(Self.unfinishedMax)),
                    ]), deadline: .seconds(60))
            var first: [Unfinished] = []
            for row in rows { first.append(Unfinished(job: try row.decode(0), reason: try row.decode(1))) }
            return (first, try rows.first?.decode(2) ?? 0)
        }
    }

    /// Reads a part of a job's events up to a head that was read before.
    public func excerpt(
        _ head: LedgerHead, through position: ChainPosition, after sequence: EventSequence, limit: Int
    ) async throws(StoreError) -> LedgerExcerpt {
        try await attempting("exporting a job") { () throws(PQError) in
            try await ChainReader(pool: pool).excerpt(head.job, through: position, after: sequence, limit: limit)
        }
    }

    /// Returns the record of a job's retirement, or `nil` if the job was not retired.
    public func retirement(of job: JobID) async throws(StoreError) -> Retirement? {
        try await attempting("reading a retirement") { () throws(PQError) in
            try await RetirementRow.read(job, on: pool)
        }
    }

    /// Records jobs as retired, and deletes their projections, in one transaction.
    ///
    /// - Parameters:
    ///   - jobs: At most ``jobsPerTransactionMax`` jobs, with the last events in the export.
    ///   - deletesEvents: Whether the events are deleted as well. Those of a month are removed with its partition.
    /// - Throws: ``StoreError/Code/conflict`` if a job is not as it was exported, is running or is retired already, or
    ///   if a replay is in progress. Nothing was changed then.
    public func retire(
        _ jobs: [(job: JobID, position: ChainPosition)], in export: Retirement.Export, deletesEvents: Bool
    ) async throws(StoreError) {
        precondition(jobs.count <= Self.jobsPerTransactionMax, "too many jobs for one transaction")
        do throws(PQError) {
            _ = try await pool.query(
                Query(
                    "select ledger.retire_jobs($1, $2, $3, $4, $5, $6)",
                    [
                        .uuids(jobs.map(\.job.uuid)), .sequences(jobs.map(\.position.sequence)),
                        .byteas(jobs.map(\.position.hash.bytea)), .bytea(export.sha256.bytea), .text(export.place),
                        .bool(deletesEvents),
                    ]), deadline: Self.recordDeadline, isDurableWrite: true)
        } catch {
            guard error.sqlState != .retirementRefused else {
                throw StoreError(.conflict, error.server?.message ?? error.message, cause: error)
            }
            throw StoreError(error, while: "recording retired jobs")
        }
    }

    // MARK: Months

    /// The last month that is over, by the database's clock.
    ///
    /// A month is over a day after its end: the clocks of servers may differ.
    public func lastMonth() async throws(StoreError) -> Month {
        let text = try await attempting("reading the clock") { () throws(PQError) in
            try await pool.query(
                Query("select to_char((clock_timestamp() - interval '1 day') at time zone 'UTC', 'YYYY-MM')"))[0]
                .decode(0, as: String.self)
        }
        guard let month = Month(text) else { throw StoreError(.corrupt, "the database's clock shows \(text)") }
        return month.advanced(by: -1)
    }

    /// Returns the months with a table of events, in order.
    public func months() async throws(StoreError) -> [Month] {
        let texts = try await attempting("reading the partitions") { () throws(PQError) in
            let rows = try await pool.query(
                Query(
                    """
                    select distinct replace(right(relname, 7), '_', '-') as month
                    from pg_class
                    where relnamespace = 'ledger'::regnamespace and relkind = 'r'
                        and relname ~ '^(event|retired)_[0-9]{4}_[0-9]{2}$'
                    order by month
                    """))
            var texts: [String] = []
            for row in rows { texts.append(try row.decode(0)) }
            return texts
        }
        return texts.compactMap { Month($0) }
    }

    /// Returns the place of the events of a month.
    public func storage(of month: Month) async throws(StoreError) -> MonthRetirement {
        let hasOpenJobs = try await !openJobs(of: month, after: nil, limit: 1).isEmpty
        return try await attempting("reading the partitions") { () throws(PQError) in
            let row = try await pool.query(
                Query(
                    """
                    select
                        to_regclass('ledger.' || $1) is not null, attached.inhdetachpending,
                        to_regclass('ledger.' || $2) is not null
                    from (select) as once
                    left join pg_inherits as attached
                        on attached.inhparent = 'ledger.event'::regclass
                        and attached.inhrelid = to_regclass('ledger.' || $1)
                    """, [.text(month.partition), .text(month.retiredTable)]))[0]
            let table: MonthRetirement.Table =
                switch (try row.decode(0, as: Bool.self), try row.decodeIfPresent(1, as: Bool.self)) {
                case (false, _): .absent
                case (true, nil): .detached
                case (true, false?): .attached
                case (true, true?): .detaching
                }
            return MonthRetirement(table: table, hasSetAside: try row.decode(2), hasOpenJobs: hasOpenJobs)
        }
    }

    /// Removes the partition of a month from the event table.
    ///
    /// Reads and appends continue meanwhile. The statement waits for all transactions that use the event table. If it
    /// is interrupted, ``finishDetaching(_:)`` continues it.
    public func detach(_ month: Month) async throws(StoreError) {
        try await run("detaching the partition of \(month)", waitsForTransactions: true) {
            ["alter table ledger.event detach partition ledger.\(month.partition) concurrently"]
        }
    }

    /// Finishes the removal of a partition that was interrupted.
    public func finishDetaching(_ month: Month) async throws(StoreError) {
        try await run("finishing to detach the partition of \(month)", waitsForTransactions: true) {
            ["alter table ledger.event detach partition ledger.\(month.partition) finalize"]
        }
    }

    /// Attaches the table of a month to the event table again.
    public func attach(_ month: Month) async throws(StoreError) {
        let partition = "ledger.\(month.partition)"
        try await run("attaching the partition of \(month)") {
            [
                """
                do $$
                begin
                    execute format(
                        'alter table ledger.event attach partition \(partition) for values from (%L) to (%L)',
                        ledger.first_job_id('\(month.firstDay)'), ledger.first_job_id('\(month.advanced(by: 1).firstDay)')
                    );
                    alter table \(partition) enable always trigger event_refuse_change;
                end
                $$
                """
            ]
        }
    }

    /// Renames the detached table of a month.
    ///
    /// A later import of other jobs of the month can then create a partition.
    public func setAside(_ month: Month) async throws(StoreError) {
        try await run("renaming the table of \(month)") {
            ["alter table ledger.\(month.partition) rename to \(month.retiredTable)"]
        }
    }

    /// Deletes the renamed table of a month.
    public func drop(_ month: Month) async throws(StoreError) {
        try await run("dropping the table of \(month)") { ["drop table ledger.\(month.retiredTable)"] }
    }

    /// Returns the exports that contain the events in the renamed table of a month.
    public func exports(of month: Month) async throws(StoreError) -> [Retirement.Export] {
        try await attempting("reading retirements") { () throws(PQError) in
            let rows = try await pool.query(
                Query(
                    """
                    select distinct retirement.export_sha256, retirement.export_place
                    from ledger.retirement
                    where retirement.job_id >= ledger.first_job_id($1::text::timestamptz)
                        and retirement.job_id < ledger.first_job_id($2::text::timestamptz)
                        and exists (
                            select from ledger.\(month.retiredTable) as event where event.job_id = retirement.job_id
                        )
                    """, [.text(month.firstDay), .text(month.advanced(by: 1).firstDay)]), deadline: .seconds(300))
            var exports: [Retirement.Export] = []
            for row in rows { exports.append(Retirement.Export(sha256: try row.decode(0), place: try row.decode(1))) }
            return exports
        }
    }

    /// Runs statements that change tables.
    ///
    /// They are sent as text, because PostgreSQL detaches a partition concurrently only outside of a transaction.
    private func run(
        _ attempt: String, waitsForTransactions: Bool = false, _ statements: () -> [String]
    ) async throws(StoreError) {
        let sql = statements()
        try await attempting(attempt) { () throws(PQError) in
            try await pool.withConnection { lease throws(PQError) in
                // The wait for transactions blocks nothing, so only its deadline limits it.
                try await lease.script("set lock_timeout = '\(waitsForTransactions ? "0" : Self.lockTimeout)'")
                for statement in sql { try await lease.script(statement, deadline: Self.detachDeadline) }
            }
        }
    }
}

extension Month {
    /// The beginning of the month, as PostgreSQL reads it.
    fileprivate var firstDay: String { "\(self)-01 00:00:00+00" }
    fileprivate var partition: String { "event_\(suffix)" }
    fileprivate var retiredTable: String { "retired_\(suffix)" }
    private var suffix: String { String(description.map { $0 == "-" ? "_" : $0 }) }
}
