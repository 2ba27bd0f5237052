import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// What the service asks of PostgreSQL costs by what it asks for, not by what else is in the ledger.
///
/// The plans are those that the service's own sessions chose and ran, with what they have really read: see
/// ``PlanRecorder``. The service keeps its sessions from sequential scans where there is any other way, and then a
/// missing index shows as a walk through the whole of another index. So both are looked for, and the rows and pages
/// that were read are counted.
@Suite("Plans")
struct PlanTests {
    /// What PostgreSQL knew of its tables when the service's statements were planned, once and for all.
    enum Knowledge: String, CaseIterable {
        /// Nothing: they were empty and nobody had looked.
        case empty
        /// That they were empty.
        case analyzedEmpty
        /// Nothing, though they were filled by then, as when much is reported before anybody has looked.
        case filledUnanalyzed
        /// All: they were filled and looked at.
        case fresh
    }

    @Test(
        "hot statements read what they are asked for, whatever was known when they were planned",
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
                        try await operation.run(ledger, Operation.Place(job: tiny, after: 5))
                    }
                    try await appendOvertaken(ledger, tiny, target)
                    let prepared = try await ledger.pool.query(Query("select count(*) from pg_prepared_statements"))
                    #expect(try prepared[0].decode(0, as: Int.self) > 20, "the statements are planned by now")
                    let large = try await LargeLedger(filling: ledger, target)
                    try await examine(ledger, large, recorder, knowledge, target)
                }
            }
        }
    }

    private func run(_ sql: String, _ target: ConnectionTarget) async throws {
        let pool = Pool(target: target, logger: TestCluster.logger)
        _ = try await pool.query(Query(sql, prepare: false))
        await pool.close()
    }

    /// One connection for reading and the projection, so that what was planned at first is what runs later.
    private func withRecordedLedger(
        on target: ConnectionTarget, _ body: (PostgresLedger, PlanRecorder) async throws -> Void
    ) async throws {
        let recorder = PlanRecorder()
        var settings = PostgresLedger.Settings()
        settings.connectionsMax = 1
        settings.appendQueues = 1
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
            // The second time, what is read once in a while has been read: catalogues and the heads of jobs.
            try await operation.run(ledger, Operation.Place(job: large.small, after: 20))
            _ = recorder.take()
            try await operation.run(ledger, Operation.Place(job: large.wide, after: large.last / 2))
            let plans = recorder.take()
            operation.judge(plans, "\(operation.name), \(knowledge)")
        }
        _ = recorder.take()
        ledger.signals.requestSweep()
        var swept: [RecordedPlan] = []
        try await eventually {
            swept = recorder.take().filter { $0.statement.contains(Operation.sweep.statements[0]) }
            return !swept.isEmpty
        }
        Operation.sweep.judge(Array(swept.prefix(1)), "the sweep, \(knowledge)")
        // The lag is measured by looking at the heads and snapshots of all jobs, and at nothing else.
        _ = recorder.take()
        _ = try await ledger.status()
        for plan in recorder.take() where plan.statement.contains("with behind as materialized") {
            for scan in plan.scans where Operation.growing.contains(scan.table) {
                // It is planned for each time: a partition that is empty may well be looked at as a whole.
                #expect(
                    ["job_head", "snapshot"].contains(scan.table) || scan.indexCondition != nil || scan.rows == 0,
                    "\(scan)")
                #expect(scan.rows <= Operation.jobsRows, "\(scan)")
            }
        }
        // A job that no server knows yet, whose head is asked for first.
        let stranger = try #require(JobID(String(large.small.description.dropLast(2)) + "55"))
        _ = recorder.take()
        _ = try await ledger.append([LargeLedger.progress(7, 2, report: 9)], to: stranger)
        Operation.appendToUnknown.judge(recorder.take(), "append to an unknown job, \(knowledge)")
        try await appendOvertaken(ledger, stranger, target) { _ = recorder.take() }
        Operation.appendOvertaken.judge(recorder.take(), "append to a job that another server has moved, \(knowledge)")
    }

    /// Appends to a job that another server has moved since the ledger has last written to it.
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
