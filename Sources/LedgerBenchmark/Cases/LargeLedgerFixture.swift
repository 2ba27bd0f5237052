internal import LedgerStore
internal import PQ

/// A large ledger, filled by SQL.
///
/// Appending ten million events would take longer than all measurements on them. The hashes of the inserted events form
/// no chain, so these jobs cannot be verified. The projections are computed by the product: it folds the first job, and
/// the other jobs, which are identical, get copies of its projections.
struct LargeLedgerFixture {
    /// The number of concurrent inserts: the minimum number of processors.
    private static let inserters = 2
    private static let deadline: Duration = .seconds(600)

    let machine: BenchmarkMachine
    let size: Scaling.Size
    let name: String
    let database: Pool
    let stock: JobStock

    init(_ machine: BenchmarkMachine, _ size: Scaling.Size, name: String) async throws {
        self.machine = machine
        self.size = size
        self.name = name
        try await machine.create(name)
        database = machine.pool(name)
        stock = JobStock(jobs: size.jobs, tasks: Scaling.loadedTasks, after: size.history)
        try await fill()
    }

    func drop() async throws {
        await database.close()
        try await machine.drop(name)
    }

    /// Runs the body with a separate server on this ledger.
    func withServer<R>(projects: Bool, _ body: (BenchmarkMachine.Site) async throws -> R) async throws -> R {
        let server = try await machine.server(on: name, projects: projects)
        let result = try await body(
            BenchmarkMachine.Site(
                server: server, databases: [database], machines: [machine], limit: database, limitName: name))
        try await server.stop()
        return result
    }

    // MARK: Filling

    private func fill() async throws {
        try await run(Self.jobs, [.int8(Int64(size.jobs))])
        let rows = try await database.query(Query("select job_id::text from ledger.job order by job_id"))
        stock.jobs = try rows.map { try $0.decode(0) }
        let (database, history) = (database, size.history)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for part in 0..<Self.inserters {
                group.addTask { try await Self.fillEvents(part, history, in: database) }
            }
            try await group.waitForAll()
        }
        let first = stock.jobs[0]
        try await run(Self.firstSnapshot, [.text(first)])
        try await run(Self.heads, [.text(first), .int8(size.history.eventsOfJob), .bool(true)])
        try await withServer(projects: true) { site in
            _ = try await BenchmarkAssertion(site: site, stock: stock).waitUntilFolded()
        }
        for table in ["snapshot", "indicator", "task", "execution", "report_page", "discard"] {
            try await run(try await copyStatement(table), [.text(first)])
        }
        try await run(Self.heads, [.text(first), .int8(size.history.eventsOfJob), .bool(false)])
        // Autovacuum would do the same.
        try await run("vacuum analyze")
    }

    private func run(_ sql: String, _ parameters: [Parameter] = []) async throws {
        _ = try await database.query(Query(sql, parameters, prepare: false), deadline: Self.deadline)
    }

    /// Inserts the jobs, in the order of their ids.
    private static let jobs = """
        insert into ledger.job (job_id, created_at, name)
        select
            (left(ledger.first_job_id(now())::text, 13) || '-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid,
            now(), 'bench ' || number
        from generate_series(0, $1::bigint - 1) as number
        """

    /// Inserts one part of the events: reports of each task in turn.
    private static func fillEvents(_ part: Int, _ history: StoredHistory, in database: Pool) async throws {
        let events = Query(
            """
            insert into ledger.event (
                job_id, sequence, recorded_at, report, total, done, attempt, type, hash, task, execution, label, name
            )
            select
                job.job_id, event.sequence, job.created_at, event.report, event.total, event.done, event.attempt,
                event.type, '\\x0707070707070707070707070707070707070707070707070707070707070707', event.task,
                event.task || '-1', event.label, case event.type when 1 then job.name end
            from (
                select job_id, created_at, name, row_number() over (order by job_id) as number
                from ledger.job
            ) as job
            cross join (
                select
                    1::bigint as sequence, 1::smallint as type, null::bigint as report, null::bigint as total,
                    null::bigint as done, null::integer as attempt, null as task, null as label
                union all
                select
                    number + 2, 3, number / $3::bigint + 1, $5::bigint, $6::bigint, 1, 'task-' || number % $3::bigint,
                    ($7::text[])[number % $3::bigint % 4 + 1]
                from generate_series(0, $3::bigint * $4::bigint - 1) as number
            ) as event
            where job.number % $1::bigint = $2::bigint
            """,
            [
                .int8(Int64(inserters)), .int8(Int64(part)), .int8(Int64(history.tasks)), .int8(Int64(history.reports)),
                .int8(StoredHistory.total), .int8(StoredHistory.done), .texts(Workload.labels),
            ], prepare: false)
        _ = try await database.query(events, deadline: deadline)
    }

    /// Inserts the head of the first job, or the heads of all others.
    ///
    /// A job that has a head must have a snapshot too.
    private static let heads = """
        insert into ledger.job_head (job_id, sequence, recorded_at, hash)
        select
            job_id, $2::bigint + 1, created_at, '\\x0707070707070707070707070707070707070707070707070707070707070707'
        from ledger.job
        where (job_id = $1::text::uuid) = $3::boolean
        """

    /// Inserts the first job's snapshot as the ledger creates it.
    private static let firstSnapshot = """
        insert into ledger.snapshot (job_id, sequence, created_at, updated_at)
        select job_id, 1, created_at, created_at
        from ledger.job
        where job_id = $1::text::uuid
        """

    /// The statement that copies a table's rows from the first job to all others.
    private func copyStatement(_ table: String) async throws -> String {
        let rows = try await database.query(
            Query(
                """
                select string_agg(quote_ident(attname), ', ' order by attnum)
                from pg_attribute
                where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attname <> 'job_id'
                """, [.text("ledger.\(table)")]))
        let columns: String = try rows[0].decode(0)
        return """
            insert into ledger.\(table) (job_id, \(columns))
            select job.job_id, \(columns.split(separator: ", ").map { "first.\($0)" }.joined(separator: ", "))
            from ledger.job
            cross join ledger.\(table) as first
            where first.job_id = $1::text::uuid and job.job_id <> first.job_id
            """
    }
}
