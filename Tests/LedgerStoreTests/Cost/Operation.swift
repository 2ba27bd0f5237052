import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

/// An operation of the service and its maximum cost to the database.
struct Operation: Sendable {
    /// The subject of an operation.
    struct Subject: Sendable {
        let job: JobID
        /// An event in the middle of the job.
        let after: EventSequence
    }

    let name: String
    /// Parts of statements that the operation must execute.
    ///
    /// Without them, a low cost would prove nothing.
    let statements: [String]
    /// The maximum number of rows of growing tables that are read.
    let rowsMax: Double
    /// The maximum number of pages of tables and indexes that are read.
    ///
    /// A lookup reads two or three pages of an index and one of the table, or of several partitions if the job is not
    /// known in advance.
    let pagesMax: Double
    /// The tables with an index that may be read in order, up to a limit.
    let walks: Set<String>
    /// Whether only these statements are checked.
    ///
    /// Other statements may run at the same time.
    let checksOnlyItsStatements: Bool
    let run: @Sendable (PostgresLedger, Subject) async throws -> Void

    init(
        _ name: String, statements: [String], rowsMax: Double, pagesMax: Double, walks: Set<String> = [],
        checksOnlyItsStatements: Bool = false,
        run: @escaping @Sendable (PostgresLedger, Subject) async throws -> Void
    ) {
        self.name = name
        self.statements = statements
        self.rowsMax = rowsMax
        self.pagesMax = pagesMax
        self.walks = walks
        self.checksOnlyItsStatements = checksOnlyItsStatements
        self.run = run
    }

    /// The tables that grow with the ledger.
    static let growing: Set<String> = [
        "job", "job_head", "event", "snapshot", "indicator", "task", "execution", "report_page", "discard",
    ]

    func check(_ recorded: [RecordedPlan], _ context: String) {
        // A step of the projection follows an append at any time, and is checked separately. So is the statement for
        // an estimate, which is executed once a second for a job that is read.
        let plans = recorded.filter { plan in
            checksOnlyItsStatements
                ? statements.contains { plan.statement.contains($0) }
                : !plan.statement.contains(Self.sweep.statements[0])
                    && !plan.statement.contains(Self.estimate.statements[0])
        }
        for part in statements {
            // The statement for an estimate also reads the job.
            #expect(
                recorded.contains { $0.statement.contains(part) },
                "\(context): no statement with '\(part)' was executed")
        }
        var rows = 0.0
        var pages = 0.0
        for plan in plans where plan.scans.contains(where: { Self.growing.contains($0.table) }) {
            pages += plan.pages
            for scan in plan.scans where Self.growing.contains(scan.table) {
                rows += scan.rows
                #expect(scan.kind != "Seq Scan", "\(context): \(scan) in \(plan.statement)")
                // A heap scan below a bitmap has its condition in the scan of the index.
                guard scan.kind != "Bitmap Heap Scan", !walks.contains(scan.table) else { continue }
                #expect(scan.indexCondition != nil, "\(context): all of an index: \(scan) in \(plan.statement)")
            }
        }
        let all = plans.map { "\($0.pages) pages, \($0.scans): \($0.statement)" }.joined(separator: "\n")
        #expect(rows <= rowsMax, "\(context): read \(rows) rows\n\(all)")
        #expect(pages <= pagesMax, "\(context): read \(pages) pages\n\(all)")
    }

    /// The rows of all jobs with their snapshots.
    static let jobsRows = Double(2 * LargeLedger.copies + 60)

    /// The sweep over all jobs for those that are behind.
    ///
    /// It runs at any time, and is checked separately.
    static let sweep = Operation(
        "the sweep",
        statements: ["folded is null from ( select head.job_id, head.sequence"],
        rowsMax: jobsRows, pagesMax: 3 * jobsRows, checksOnlyItsStatements: true
    ) { ledger, _ in ledger.projectionQueue.requestSweep() }

    /// The read of a job with its running executions.
    static let estimate = Operation(
        "estimate a job", statements: ["string_agg(execution.work"], rowsMax: 30, pagesMax: 120,
        checksOnlyItsStatements: true
    ) { ledger, _ in
        // A job that is new has not been estimated within the last second.
        let job = try await ledger.createJob(JobDescription(name: "new")).view.id
        let last = try await ledger.append([LargeLedger.progress(1, 1, report: 1)], to: job).upperBound
        let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
        #expect(isFolded)
        let estimate = try await ledger.job(job)?.estimate
        #expect(estimate != nil)
    }

    /// An append that locks the heads by one statement and moves them by another.
    static let appendLocking = Operation(
        "append to a job whose head is not cached, or that another server has moved",
        statements: [
            "from ledger.job_head where job_id = any ($1) order by job_id for update", "insert into ledger.event",
            "update ledger.job_head",
        ],
        rowsMax: 10, pagesMax: 100, checksOnlyItsStatements: true
    ) { _, _ in }

    static let all: [Operation] = [
        estimate,
        Operation("append", statements: ["with moved as"], rowsMax: 10, pagesMax: 100, checksOnlyItsStatements: true) {
            ledger, subject in
            // The first append caches the head, if necessary. The second takes one statement.
            _ = try await ledger.append([LargeLedger.progress(3, 2, report: 7)], to: subject.job)
            _ = try await ledger.append([LargeLedger.progress(3, 2, report: 8)], to: subject.job)
        },
        Operation(
            "append to two jobs", statements: ["with locked as materialized"], rowsMax: 20, pagesMax: 200,
            checksOnlyItsStatements: true
        ) { ledger, subject in
            let other = try await ledger.createJob(JobDescription(name: "other", key: "other")).view.id
            for report in 9...10 {
                let draft = LargeLedger.progress(3, 2, report: Int64(report))
                _ = try await ledger.append([(job: subject.job, draft: draft), (job: other, draft: draft)])
            }
        },
        Operation(
            "append, and the step of the projection",
            statements: ["for update of snapshot skip locked", "unnest($1::uuid[]", "update ledger.snapshot"],
            rowsMax: 100, pagesMax: 800
        ) { ledger, subject in
            var drafts = [LargeLedger.progress(4, 2, report: 70), LargeLedger.progress(4, 2, report: 70)]
            drafts.append(LargeLedger.progress(5, 1, report: 70))
            drafts.append(LargeLedger.progress(100_000, 1, report: 1))
            drafts.append(LargeLedger.progress(6, 3, report: 1))
            let last = try await ledger.append(drafts, to: subject.job).upperBound
            let isFolded = try await ledger.waitUntilFolded(subject.job, sequence: last, deadline: .testTimeout)
            #expect(isFolded)
        },
        Operation("create a job", statements: ["insert into ledger.job "], rowsMax: 30, pagesMax: 200) { ledger, _ in
            let key = Name("new \(UInt64.random(in: 0 ... .max))")
            let created = try await ledger.createJob(JobDescription(name: "new", key: key)).created
            #expect(created)
        },
        Operation("create a job that exists", statements: ["where key = $1"], rowsMax: 20, pagesMax: 60) {
            ledger, subject in
            let view = try await ledger.job(subject.job)
            let description = try #require(view).description
            let created = try await ledger.createJob(
                JobDescription(name: description.name, key: description.key, tags: description.tags)
            ).created
            #expect(!created)
        },
        Operation("read a job", statements: ["where job.job_id = any($1)"], rowsMax: 10, pagesMax: 30) {
            ledger, subject in
            let view = try await ledger.job(subject.job)
            #expect(view != nil)
        },
        Operation(
            "read a job counting all executions", statements: ["where job.job_id = $1"], rowsMax: 10, pagesMax: 30
        ) { ledger, subject in
            let view = try await ledger.job(subject.job, counting: .all)
            #expect(view != nil)
        },
        Operation("read the stamp of a snapshot", statements: ["where head.job_id = any($1)"], rowsMax: 5, pagesMax: 20)
        {
            ledger, subject in
            let stamp = try await ledger.stamp(of: subject.job)
            #expect(stamp != nil)
        },
        Operation("read jobs", statements: ["where job.job_id = any($1)"], rowsMax: 10, pagesMax: 30) {
            ledger, subject in
            let views = try await ledger.jobs([subject.job])
            #expect(views.count == 1)
        },
        Operation(
            "list jobs", statements: ["order by job.job_id desc"], rowsMax: 110, pagesMax: 250,
            walks: ["job", "job_head", "snapshot"]
        ) { ledger, _ in
            _ = try await ledger.jobs(JobFilter(), limit: 10, after: nil)
        },
        Operation(
            "list jobs, the next page", statements: ["job.job_id < $1"], rowsMax: 110, pagesMax: 250
        ) { ledger, subject in
            _ = try await ledger.jobs(JobFilter(), limit: 10, after: subject.job)
        },
        Operation(
            "list jobs of a rare state", statements: ["snapshot.state between $1 and $1"], rowsMax: 20, pagesMax: 60
        ) { ledger, _ in
            let views = try await ledger.jobs(JobFilter(state: .canceled), limit: 10, after: nil)
            #expect(views.isEmpty)
        },
        Operation(
            "list jobs of a state, the next page", statements: ["snapshot.job_id < $1"], rowsMax: 110, pagesMax: 250
        ) { ledger, subject in
            _ = try await ledger.jobs(JobFilter(state: .running), limit: 10, after: subject.job)
        },
        Operation(
            "list jobs of two states, oldest first", statements: ["union all"], rowsMax: 110, pagesMax: 250
        ) { ledger, _ in
            var filter = JobFilter()
            filter.states = [.running, .canceled]
            _ = try await ledger.jobs(filter, in: .oldest, limit: 10, after: nil)
        },
        Operation(
            "list jobs of a period", statements: ["job.job_id >= $1 and job.job_id < $2"], rowsMax: 110, pagesMax: 250
        ) { ledger, subject in
            var filter = JobFilter()
            filter.createdFrom = subject.job.createdAt
            filter.createdBefore = .latest
            _ = try await ledger.jobs(filter, limit: 10, after: nil)
        },
        // All of the few jobs are counted, and none is read twice.
        Operation(
            "count jobs by state", statements: ["as requested (state)"], rowsMax: jobsRows, pagesMax: jobsRows
        ) { ledger, _ in
            let counts = try await ledger.countJobs(JobFilter())
            #expect(counts.incomplete.isEmpty)
        },
        Operation(
            "count jobs of a tag by state", statements: ["as requested (state)"], rowsMax: 2 * jobsRows,
            pagesMax: 4 * jobsRows
        ) { ledger, _ in
            let counts = try await ledger.countJobs(JobFilter(tags: ["size": "wide"]))
            #expect(counts[.running] <= 1)
        },
        Operation("list jobs of a name", statements: ["job.name = $1"], rowsMax: 20, pagesMax: 60) { ledger, _ in
            _ = try await ledger.jobs(JobFilter(name: "wide"), limit: 10, after: nil)
        },
        Operation("find a job by its key", statements: ["job.key = $1"], rowsMax: 20, pagesMax: 60) { ledger, _ in
            _ = try await ledger.jobs(JobFilter(key: "wide"), limit: 10, after: nil)
        },
        // PostgreSQL plans the statement without knowing how many jobs have the tag. It may therefore read the jobs one
        // by one, newest first, but no more than one row of each.
        Operation(
            "list jobs of a tag", statements: ["job.tags @> jsonb_object"], rowsMax: jobsRows, pagesMax: 3 * jobsRows,
            walks: ["job", "snapshot"]
        ) { ledger, _ in
            _ = try await ledger.jobs(JobFilter(tags: ["size": "wide"]), limit: 10, after: nil)
        },
        Operation("a page of events", statements: ["order by event.sequence asc"], rowsMax: 300, pagesMax: 900) {
            ledger, subject in
            let page = try await ledger.events(subject.job, EventFilter(), after: subject.after, limit: 10)
            #expect(try #require(page).events.count == 10)
        },
        Operation("the last events", statements: ["order by event.sequence desc"], rowsMax: 300, pagesMax: 900) {
            ledger, subject in
            let page = try await ledger.events(subject.job, EventFilter(order: .descending), after: nil, limit: 10)
            #expect(try #require(page).events.count == 10)
        },
        Operation("a page of tasks", statements: ["found.task = task.sequence"], rowsMax: 60, pagesMax: 250) {
            ledger, subject in
            let page = try await ledger.tasks(
                subject.job, state: nil, limit: 10, after: TaskID(EventSequence(subject.after.number / 2)))
            #expect(try #require(page).tasks.count > 1)
        },
        Operation("verdicts", statements: ["found.sequence between $2 and $3"], rowsMax: 60, pagesMax: 200) {
            ledger, subject in
            _ = try await ledger.verdicts(subject.job, subject.after...subject.after)
        },
        Operation(
            "start an execution", statements: ["found.name between $3 and $3"], rowsMax: 20, pagesMax: 60
        ) { ledger, subject in
            let standing = try await ledger.status(
                of: "execution 2 of 4", task: "task 4", in: subject.job, at: EventSequence(Int64.max))
            #expect(standing?.isLast == true)
        },
        // A binary search: each of its about fifteen rounds looks up one event.
        Operation(
            "find a moment", statements: ["with recursive search"], rowsMax: 30, pagesMax: 120,
            checksOnlyItsStatements: true
        ) { ledger, subject in
            let past = try await ledger.job(
                subject.job, at: .time(Timestamp(microseconds: 0)), counting: .last)
            #expect(past?.snapshot.sequence == 0)
        },
        Operation("read heads", statements: ["from ledger.job where job_id > $1"], rowsMax: 40, pagesMax: 60) {
            ledger, _ in
            _ = try await ledger.heads(after: nil, limit: 10)
        },
        Operation("read an excerpt", statements: ["from ledger.event"], rowsMax: 30, pagesMax: 60) { ledger, subject in
            let excerpt = try await ledger.excerpt(subject.job, after: subject.after, limit: 10)
            #expect(try #require(excerpt).events.count == 10)
        },
        // It reads a thousand executions at once, each with its task, its successor and its discarded units.
        Operation(
            "explain", statements: ["execution.superseded_by and execution.superseded_by"], rowsMax: 5_000,
            pagesMax: 15_000
        ) { ledger, subject in
            _ = try await ledger.explain(subject.job, "odd", at: nil, counting: .last, limit: 10, after: nil)
        },
    ]
}
