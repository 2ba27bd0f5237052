import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

/// Something that the service does for a caller, and what it may cost the database at most.
struct Operation: Sendable {
    /// What an operation is done to.
    struct Place: Sendable {
        let job: JobID
        /// An event in the middle of the job.
        let after: Int64
    }

    let name: String
    /// Parts of statements that it must have run: what was not run proves nothing.
    let statements: [String]
    /// Rows of the growing tables that may be looked at.
    let rowsMax: Double
    /// Pages of tables and indexes that may be looked at: a lookup goes through two or three pages of an index and one of
    /// the table, or of several partitions where the job is not known in advance.
    let pagesMax: Double
    /// Tables of which an index may be walked in its order, up to a limit.
    let walks: Set<String>
    /// Whether only these statements are judged, since others may run at the same time.
    let isAlone: Bool
    let run: @Sendable (PostgresLedger, Place) async throws -> Void

    init(
        _ name: String, statements: [String], rowsMax: Double, pagesMax: Double, walks: Set<String> = [],
        isAlone: Bool = false,
        run: @escaping @Sendable (PostgresLedger, Place) async throws -> Void
    ) {
        self.name = name
        self.statements = statements
        self.rowsMax = rowsMax
        self.pagesMax = pagesMax
        self.walks = walks
        self.isAlone = isAlone
        self.run = run
    }

    /// The tables that grow with the ledger.
    static let growing: Set<String> = [
        "job", "job_head", "event", "snapshot", "indicator", "task", "execution", "report_page", "discard",
    ]

    func judge(_ recorded: [RecordedPlan], _ where: String) {
        // A step of the projection follows an append when it likes, and is judged by itself.
        let plans = recorded.filter { plan in
            isAlone
                ? statements.contains { plan.statement.contains($0) }
                : !plan.statement.contains(Self.sweep.statements[0])
        }
        for part in statements {
            #expect(plans.contains { $0.statement.contains(part) }, "\(`where`): no statement with '\(part)' was run")
        }
        var rows = 0.0
        var pages = 0.0
        for plan in plans where plan.scans.contains(where: { Self.growing.contains($0.table) }) {
            pages += plan.pages
            for scan in plan.scans where Self.growing.contains(scan.table) {
                rows += scan.rows
                #expect(scan.kind != "Seq Scan", "\(`where`): \(scan) in \(plan.statement)")
                // A heap scan below a bitmap has its condition in the scan of the index.
                guard scan.kind != "Bitmap Heap Scan", !walks.contains(scan.table) else { continue }
                #expect(scan.indexCondition != nil, "\(`where`): all of an index: \(scan) in \(plan.statement)")
            }
        }
        let all = plans.map { "\($0.pages) pages, \($0.scans): \($0.statement)" }.joined(separator: "\n")
        #expect(rows <= rowsMax, "\(`where`): looked at \(rows) rows\n\(all)")
        #expect(pages <= pagesMax, "\(`where`): looked at \(pages) pages\n\(all)")
    }

    /// Each job of the ledger with its snapshot.
    static let jobsRows = Double(2 * LargeLedger.copies + 60)

    /// The look at all jobs for those that are behind: it comes when it comes, and is judged by itself.
    static let sweep = Operation(
        "the sweep",
        statements: ["snapshot.sequence is null from ( select job_id, sequence from ledger.job_head"],
        rowsMax: jobsRows, pagesMax: 3 * jobsRows, isAlone: true
    ) { ledger, _ in ledger.signals.requestSweep() }

    /// Its head is looked up first.
    static let appendToUnknown = Operation(
        "append to a job whose head is not known",
        statements: ["clock_timestamp() from ledger.job_head where job_id = any ($1)", "with moved as"],
        rowsMax: 10, pagesMax: 100, isAlone: true
    ) { _, _ in }

    /// The heads are locked by one statement and moved by another.
    static let appendOvertaken = Operation(
        "append to a job that another server has moved",
        statements: [
            "from ledger.job_head where job_id = any ($1) order by job_id for update", "insert into ledger.event",
            "update ledger.job_head",
        ],
        rowsMax: 10, pagesMax: 100, isAlone: true
    ) { _, _ in }

    static let all: [Operation] = [
        Operation("append", statements: ["with moved as"], rowsMax: 10, pagesMax: 100, isAlone: true) {
            ledger, place in
            // The first makes the head known, if it is not; the second takes one statement.
            _ = try await ledger.append([LargeLedger.progress(3, 2, report: 7)], to: place.job)
            _ = try await ledger.append([LargeLedger.progress(3, 2, report: 8)], to: place.job)
        },
        Operation(
            "append to two jobs", statements: ["with locked as materialized"], rowsMax: 20, pagesMax: 200, isAlone: true
        ) { ledger, place in
            let other = try await ledger.createJob(JobDescription(name: "other", key: "other")).view.id
            for report in 9...10 {
                let draft = LargeLedger.progress(3, 2, report: Int64(report))
                _ = try await ledger.append([(job: place.job, draft: draft), (job: other, draft: draft)])
            }
        },
        Operation(
            "append, and the step of the projection",
            statements: ["for update of snapshot skip locked", "unnest($1::uuid[]", "update ledger.snapshot"],
            rowsMax: 100, pagesMax: 800
        ) { ledger, place in
            var drafts = [LargeLedger.progress(4, 2, report: 70), LargeLedger.progress(4, 2, report: 70)]
            drafts.append(LargeLedger.progress(5, 1, report: 70))
            drafts.append(LargeLedger.progress(100_000, 1, report: 1))
            drafts.append(LargeLedger.progress(6, 3, report: 1))
            let last = try await ledger.append(drafts, to: place.job).upperBound
            let isFolded = try await ledger.waitUntilFolded(place.job, sequence: last, deadline: .testTimeout)
            #expect(isFolded)
        },
        Operation("create a job", statements: ["insert into ledger.job "], rowsMax: 30, pagesMax: 200) { ledger, _ in
            let key = Name("new \(UInt64.random(in: 0 ... .max))")
            let created = try await ledger.createJob(JobDescription(name: "new", key: key)).created
            #expect(created)
        },
        Operation("create a job that is there", statements: ["where key = $1"], rowsMax: 20, pagesMax: 60) {
            ledger, place in
            let view = try await ledger.job(place.job)
            let description = try #require(view).description
            let created = try await ledger.createJob(
                JobDescription(name: description.name, key: description.key, tags: description.tags)
            ).created
            #expect(!created)
        },
        Operation("read a job", statements: ["where job.job_id = $1"], rowsMax: 10, pagesMax: 30) { ledger, place in
            let view = try await ledger.job(place.job)
            #expect(view != nil)
        },
        Operation("look at a snapshot", statements: ["where head.job_id = any($1)"], rowsMax: 5, pagesMax: 20) {
            ledger, place in
            let stamp = try await ledger.stamp(of: place.job)
            #expect(stamp != nil)
        },
        Operation("read jobs", statements: ["where job.job_id = any($1)"], rowsMax: 10, pagesMax: 30) { ledger, place in
            let views = try await ledger.jobs([place.job])
            #expect(views.count == 1)
        },
        Operation(
            "list jobs", statements: ["order by job.job_id desc"], rowsMax: 80, pagesMax: 250,
            walks: ["job", "job_head", "snapshot"]
        ) { ledger, _ in
            _ = try await ledger.jobs(JobFilter(), limit: 10, after: nil)
        },
        Operation(
            "list jobs, the next page", statements: ["job.job_id < $1"], rowsMax: 80, pagesMax: 250
        ) { ledger, place in
            _ = try await ledger.jobs(JobFilter(), limit: 10, after: place.job)
        },
        Operation(
            "list jobs of a rare state", statements: ["snapshot.state between $1 and $1"], rowsMax: 20, pagesMax: 60
        ) { ledger, _ in
            let views = try await ledger.jobs(JobFilter(state: .canceled), limit: 10, after: nil)
            #expect(views.isEmpty)
        },
        Operation(
            "list jobs of a state, the next page", statements: ["snapshot.job_id < $1"], rowsMax: 80, pagesMax: 250
        ) { ledger, place in
            _ = try await ledger.jobs(JobFilter(state: .running), limit: 10, after: place.job)
        },
        Operation("list jobs of a name", statements: ["job.name = $1"], rowsMax: 20, pagesMax: 60) { ledger, _ in
            _ = try await ledger.jobs(JobFilter(name: "wide"), limit: 10, after: nil)
        },
        Operation("find a job by its key", statements: ["job.key = $1"], rowsMax: 20, pagesMax: 60) { ledger, _ in
            _ = try await ledger.jobs(JobFilter(key: "wide"), limit: 10, after: nil)
        },
        // Whether few jobs have a tag is not known when the statement is planned. So the jobs may be looked through,
        // newest first, but no more of each than itself.
        Operation(
            "list jobs of a tag", statements: ["job.tags @> jsonb_object"], rowsMax: jobsRows, pagesMax: 3 * jobsRows,
            walks: ["job", "snapshot"]
        ) { ledger, _ in
            _ = try await ledger.jobs(JobFilter(tags: ["size": "wide"]), limit: 10, after: nil)
        },
        Operation("a page of events", statements: ["order by event.sequence asc"], rowsMax: 300, pagesMax: 900) {
            ledger, place in
            let page = try await ledger.events(place.job, EventFilter(), after: place.after, limit: 10)
            #expect(try #require(page).events.count == 10)
        },
        Operation("the last events", statements: ["order by event.sequence desc"], rowsMax: 300, pagesMax: 900) {
            ledger, place in
            let page = try await ledger.events(place.job, EventFilter(order: .descending), after: nil, limit: 10)
            #expect(try #require(page).events.count == 10)
        },
        Operation("a page of tasks", statements: ["found.task = task.sequence"], rowsMax: 60, pagesMax: 250) {
            ledger, place in
            let page = try await ledger.tasks(place.job, state: nil, limit: 10, after: place.after / 2)
            #expect(try #require(page).tasks.count > 1)
        },
        Operation("verdicts", statements: ["found.sequence between $2 and $3"], rowsMax: 60, pagesMax: 200) {
            ledger, place in
            _ = try await ledger.verdicts(place.job, place.after...place.after)
        },
        Operation(
            "begin an execution", statements: ["found.name between $3 and $3"], rowsMax: 20, pagesMax: 60
        ) { ledger, place in
            let standing = try await ledger.standing(of: "run 2 of 4", task: "task 4", in: place.job, at: .max)
            #expect(standing?.isLast == true)
        },
        Operation("read heads", statements: ["from ledger.job where job_id > $1"], rowsMax: 40, pagesMax: 60) {
            ledger, _ in
            _ = try await ledger.heads(after: nil, limit: 10)
        },
        Operation("read an excerpt", statements: ["from ledger.event"], rowsMax: 30, pagesMax: 60) { ledger, place in
            let excerpt = try await ledger.excerpt(place.job, after: place.after, limit: 10)
            #expect(try #require(excerpt).events.count == 10)
        },
        // It looks at a thousand executions at once, each with its task, its successor and what was discarded of it.
        Operation(
            "explain", statements: ["execution.superseded_by and execution.superseded_by"], rowsMax: 5_000,
            pagesMax: 15_000
        ) { ledger, place in
            _ = try await ledger.explain(place.job, "odd", at: nil, counting: .last, limit: 10, after: nil)
        },
    ]
}
