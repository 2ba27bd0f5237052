import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// The cost of a query depends on its result, not on the rest of the ledger.
///
/// The plans are those that the service's own sessions chose and executed, with the rows that they actually read: see
/// ``PlanRecorder``. The service's sessions avoid sequential scans if there is any other way, so a missing index shows
/// as a walk through the whole of another index. The tests look for both, and count the rows and pages.
@Suite("Plans")
struct PlanTests {
    /// PostgreSQL's statistics of its tables at the time of planning.
    ///
    /// The service's statements are planned only once.
    enum Knowledge: String, CaseIterable {
        /// None: the tables were empty and had not been analyzed.
        case empty
        /// The tables were analyzed while they were empty.
        case analyzedEmpty
        /// None, though the tables were full by then.
        ///
        /// This happens if many reports arrive before the first analysis.
        case filledUnanalyzed
        /// The tables were analyzed while they were full.
        case fresh
    }

    @Test(
        "hot statements read only the requested rows, whatever the statistics at planning time",
        arguments: Knowledge.allCases)
    func hotStatements(_ knowledge: Knowledge) async throws {
        try await withLedgerDatabase { target in
            try await PlanRecorder.listen(on: target)
            if knowledge == .fresh || knowledge == .filledUnanalyzed {
                let large = try await withRunningLedger(on: target) { ledger in
                    try await LargeLedger(filling: ledger, target)
                }
                if knowledge == .fresh { try await run("vacuum analyze", target) }
                try await withRecordedLedger(on: target) { ledger, recorder in
                    try await examine(ledger, large, recorder, knowledge, target)
                }
            } else {
                if knowledge == .analyzedEmpty { try await run("vacuum analyze", target) }
                try await withRecordedLedger(on: target) { ledger, recorder in
                    let tiny = try await ledger.createJob(JobDescription(name: "tiny", key: "tiny")).view.id
                    _ = try await ledger.append((0..<20).map { LargeLedger.progress($0, 1, report: 1) }, to: tiny)
                    for operation in Operation.all {
                        try await operation.run(ledger, Operation.Subject(job: tiny, after: 5))
                    }
                    try await appendOvertaken(ledger, tiny, target)
                    let prepared = try await ledger.pool.query(Query("select count(*) from pg_prepared_statements"))
                    #expect(try prepared[0].decode(0, as: Int.self) > 20, "the statements must be planned by now")
                    let large = try await LargeLedger(filling: ledger, target)
                    try await examine(ledger, large, recorder, knowledge, target)
                }
            }
        }
    }

    @Test("a page of deliveries reads no newer ones, of one subscription and of all")
    func pagesOfDeliveries() async throws {
        try await withLedgerDatabase { target in
            try await PlanRecorder.listen(on: target)
            try await withRecordedLedger(on: target) { ledger, recorder in
                let request = SubscriptionRequest(
                    name: "s", url: "https://example.com", kinds: [.late], tags: ["team": "a"])
                let id = try await ledger.createSubscription(request, by: nil).subscription.id
                try await run(
                    """
                    insert into ledger.delivery (delivery_id, subscription_id, kind, since, caused_at, created_at)
                    select 'x' || n, '\(id)', 'test', now(), now(), now() - make_interval(secs => n)
                    from generate_series(1, 5000) as n
                    """, target)
                let middle = try #require(
                    try await ledger.deliveries(of: id, within: .unconfined, limit: 3_000, before: nil).last)
                for (subscription, confinement) in [
                    (id, .unconfined), (nil, .unconfined), (nil, Confinement(tags: ["team": "a"])),
                ] as [(Subscription.ID?, Confinement)] {
                    _ = recorder.take()
                    let page = try await ledger.deliveries(
                        of: subscription, within: confinement, limit: 10, before: middle.cursor)
                    #expect(page.map(\.id) == (3_001...3_010).map { "x\($0)" })
                    let plans = recorder.take().filter { $0.statement.contains("from ledger.delivery") }
                    #expect(plans.count == 1)
                    for plan in plans {
                        for scan in plan.scans where scan.table == "delivery" {
                            #expect(scan.rows <= 11 && scan.indexCondition?.contains("created_at") == true, "\(scan)")
                        }
                        #expect(plan.pages <= 20, "\(plan)")
                    }
                }
            }
        }
    }

    @Test("silent tasks are looked up one by one, and the others of their job are not read")
    func silentTasks() async throws {
        try await withLedgerDatabase { target in
            try await PlanRecorder.listen(on: target)
            try await withRecordedLedger(on: target) { ledger, recorder in
                let description = JobDescription(name: "n", tags: ["ledger.lease": "1"])
                let job = try await ledger.createJob(description).view.id
                var drafts: [EventDraft] = []
                for task in 0..<1_000 {
                    let draft = LargeLedger.progress(task, 1, report: 1)
                    drafts.append(draft)
                    guard task % 400 != 0, let reference = draft.body.reference else { continue }
                    drafts.append(EventDraft(.executionFinished(reference, .succeeded)))
                }
                let last = try await ledger.append(drafts, to: job).upperBound
                #expect(try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout))
                func silent() async throws -> [String] {
                    let page = try await ledger.tasks(job, state: nil, onlySilent: true, limit: 10, after: nil)
                    return try #require(page).tasks.map(\.name.text)
                }
                try await eventually(equals: ["task 0", "task 400", "task 800"]) { try await silent() }
                _ = recorder.take()
                _ = try await silent()
                let plans = recorder.take().filter { $0.statement.contains("requested.sequence > $3") }
                #expect(plans.count == 1)
                for plan in plans {
                    for scan in plan.scans where Operation.growing.contains(scan.table) {
                        #expect(scan.rows <= 3 && scan.indexCondition != nil, "\(scan)")
                    }
                    #expect(plan.pages <= 40, "\(plan)")
                }
            }
        }
    }

    @Test("for percentages, all indicators of a job are read once, and not with each step")
    func percentages() async throws {
        try await withLedgerDatabase { target in
            try await PlanRecorder.listen(on: target)
            try await withRecordedLedger(on: target) { ledger, recorder in
                _ = try await ledger.createSubscription(
                    SubscriptionRequest(name: "s", url: "https://example.com", kinds: [.percent(50)]), by: nil)
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                for report in Int64(1)...4 {
                    let last = try await ledger.append([LargeLedger.progress(1, 1, report: report)], to: job)
                    #expect(
                        try await ledger.waitUntilFolded(job, sequence: last.upperBound, deadline: .testTimeout))
                }
                let reads = recorder.take().filter { $0.statement.contains("indicator.counted_done from unnest") }
                #expect(reads.count == 1)
            }
        }
    }

    private func run(_ sql: String, _ target: ConnectionTarget) async throws {
        let pool = Pool(target: target, logger: TestCluster.logger)
        _ = try await pool.query(Query(sql, prepare: false))
        await pool.close()
    }

    /// Runs a ledger with one connection for reading and the projection.
    ///
    /// The first plans are therefore also the later ones.
    private func withRecordedLedger(
        on target: ConnectionTarget, _ body: (PostgresLedger, PlanRecorder) async throws -> Void
    ) async throws {
        let recorder = PlanRecorder()
        var settings = PostgresLedger.Settings()
        settings.connectionsMax = 1
        settings.appendGroupsMax = 1
        var projection = ProjectionSettings()
        projection.sweepInterval = .seconds(3_600)
        try await withRunningLedger(
            on: target, projection: projection, settings: settings, logger: recorder.logger
        ) { ledger in try await body(ledger, recorder) }
    }

    private func examine(
        _ ledger: PostgresLedger, _ large: LargeLedger, _ recorder: PlanRecorder, _ knowledge: Knowledge,
        _ target: ConnectionTarget
    ) async throws {
        for operation in Operation.all {
            // The second run does not include occasional reads: catalogues and the heads of jobs.
            try await operation.run(ledger, Operation.Subject(job: large.small, after: 20))
            _ = recorder.take()
            try await operation.run(
                ledger, Operation.Subject(job: large.wide, after: EventSequence(large.last.number / 2)))
            let plans = recorder.take()
            operation.check(plans, "\(operation.name), \(knowledge)")
        }
        _ = recorder.take()
        ledger.projectionQueue.requestSweep()
        let swept = try await eventually({ !$0.isEmpty }) {
            recorder.take().filter { $0.statement.contains(Operation.sweep.statements[0]) }
        }
        Operation.sweep.check(Array(swept.prefix(1)), "the sweep, \(knowledge)")
        // The lag is measured by reading the heads and snapshots of all jobs, and no other table.
        _ = recorder.take()
        _ = try await ledger.status()
        let lags = recorder.take().filter { $0.statement.contains("with behind as materialized") }
        #expect(!lags.isEmpty, "the lag was not measured")
        for plan in lags {
            for scan in plan.scans where Operation.growing.contains(scan.table) {
                // The statement is planned each time, so an empty partition may be scanned sequentially.
                #expect(
                    ["job_head", "snapshot"].contains(scan.table) || scan.indexCondition != nil || scan.rows == 0,
                    "\(scan)")
                #expect(scan.rows <= Operation.jobsRows, "\(scan)")
            }
        }
        // No server has cached this job's head, so the head is read first.
        let uncachedJob = try #require(JobID(String(large.small.description.dropLast(2)) + "55"))
        _ = recorder.take()
        _ = try await ledger.append([LargeLedger.progress(7, 2, report: 9)], to: uncachedJob)
        Operation.appendLocking.check(recorder.take(), "append to a job without a cached head, \(knowledge)")
        try await appendOvertaken(ledger, uncachedJob, target) { _ = recorder.take() }
        Operation.appendLocking.check(recorder.take(), "append to a job that another server has moved, \(knowledge)")
    }

    /// Appends to a job that another server has moved since the ledger's last append.
    private func appendOvertaken(
        _ ledger: PostgresLedger, _ job: JobID, _ target: ConnectionTarget, _ before: () -> Void = {}
    ) async throws {
        _ = try await ledger.append([LargeLedger.progress(7, 2, report: 10)], to: job)
        try await withRunningLedger(on: target, projection: nil) { other in
            _ = try await other.append([LargeLedger.progress(7, 2, report: 11)], to: job)
        }
        before()
        _ = try await ledger.append([LargeLedger.progress(7, 2, report: 12)], to: job)
    }
}
