import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// A ledger in which reading too much is measurable.
///
/// It has many jobs, which reveal a statement that reads other jobs than the requested one, and one wide job, which
/// reveals a statement that reads all of a job.
struct LargeLedger {
    static let copies = 200
    static let tasksOfEach = 50
    static let tasksOfWide = 1_000

    /// The job with many tasks.
    let wide: JobID
    /// A small job that no server has written to or read.
    let small: JobID
    /// The last event of the wide job.
    let last: EventSequence

    /// Fills a ledger that has a worker.
    ///
    /// The ledger receives the reports of two jobs. The other jobs are copies of one of them.
    init(filling ledger: PostgresLedger, _ target: ConnectionTarget) async throws {
        let model = try await ledger.createJob(JobDescription(name: "model", key: "model")).view.id
        _ = try await Self.report(ledger, model, tasks: Self.tasksOfEach)
        wide = try await ledger.createJob(JobDescription(name: "wide", key: "wide", tags: ["size": "wide"])).view.id
        last = try await Self.report(ledger, wide, tasks: Self.tasksOfWide)
        let text = model.description
        let small = JobID(String(text.dropLast(12)) + "000000000007")
        self.small = try #require(small)
        try await Self.copy(model, target)
    }

    /// Reports two executions of each task: a superseded one and the last one.
    ///
    /// Some tasks repeat a report, which is discarded.
    private static func report(_ ledger: PostgresLedger, _ job: JobID, tasks: Int) async throws -> EventSequence {
        var drafts: [EventDraft] = []
        for attempt in Int32(1)...2 {
            for task in 0..<tasks {
                let draft = progress(task, attempt, report: 1)
                drafts.append(draft)
                if task % 10 == 0 { drafts.append(draft) }
            }
        }
        let last = try await ledger.append(drafts, to: job).upperBound
        let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
        #expect(isFolded)
        return last
    }

    static func progress(_ task: Int, _ attempt: Int32, report: Int64) -> EventDraft {
        let reference = ExecutionReference(
            task: Name("task \(task)"), execution: Name("execution \(attempt) of \(task)"), attempt: attempt)
        return EventDraft(
            .progress(
                ProgressReport(
                    reference: reference, report: report, label: task % 2 == 0 ? "even" : "odd", total: 1, done: 1)))
    }

    /// Copies a job, with the columns and tables that the catalogue contains.
    ///
    /// Columns and tables that are added later are therefore included.
    private static func copy(_ model: JobID, _ target: ConnectionTarget) async throws {
        let pool = Pool(target: target, logger: TestCluster.logger)
        // A temporary table would create a schema, which would make every session plan again.
        let copied = "(left(model::text, 24) || lpad(to_hex(n), 12, '0'))::uuid"
        _ = try await pool.query(
            Query(
                """
                do $$
                declare
                    model constant uuid := '\(model)';
                    place record;
                begin
                    insert into ledger.job (job_id, created_at, name, key, tags)
                        select \(copied), job.created_at, 'copy ' || n, 'copy ' || n,
                            jsonb_build_object('number', n::text)
                        from ledger.job, generate_series(1, \(copies)) as n where job.job_id = model;
                    for place in
                        select owner.relname, string_agg(quote_ident(attname), ', ') as names
                        from pg_class as owner
                        join pg_attribute on attrelid = owner.oid and attnum > 0 and not attisdropped
                            and attname <> 'job_id'
                        where owner.relnamespace = 'ledger'::regnamespace and owner.relkind in ('r', 'p')
                            and not owner.relispartition and owner.relname not in ('job', 'replay', 'stuck_job')
                            and exists (
                                select from pg_attribute as key where key.attrelid = owner.oid and key.attname = 'job_id'
                            )
                        group by owner.relname
                    loop
                        execute format(
                            'insert into ledger.%I (job_id, %s) select \(copied.replacing("'", with: "''").replacing("model", with: "$1")), %s
                                from ledger.%I as source, generate_series(1, \(copies)) as n where source.job_id = $1',
                            place.relname, place.names,
                            (select string_agg('source.' || name, ', ')
                                from regexp_split_to_table(place.names, ', ') as name), place.relname
                        ) using model;
                    end loop;
                end
                $$
                """, prepare: false))
        let rows = try await pool.query(
            Query("select (select count(*) from ledger.task), (select count(*) from ledger.event)"))
        #expect(try rows[0].decode(0, as: Int.self) >= tasksOfWide + tasksOfEach * (copies + 1))
        #expect(try rows[0].decode(1, as: Int.self) > 2 * tasksOfEach * copies)
        await pool.close()
    }
}
