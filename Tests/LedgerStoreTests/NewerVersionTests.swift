import AsyncPrimitives
import Ledger
import LedgerProjection
import LedgerSchema
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// Tests of this build as the older version, beside a database of a newer one.
@Suite("A database of a newer version")
struct NewerVersionTests {
    private static let draft = EventDraft(
        .progress(ProgressReport(reference: ExecutionReference(task: "t"), report: 1, total: 1, done: 1)))

    /// The record of a newer version's migration.
    private static let newerSchema = """
        insert into ledger.schema_migration (version, file, sha256, duration_microseconds)
        values (\(Migration.all.count + 1), '9999_newer.sql', 'x', 0)
        """
    private static let newerFold = "update ledger.snapshot set fold_version = \(Fold.version + 1)"

    @Test(
        "a running worker folds nothing that a newer version may fold otherwise", arguments: [newerSchema, newerFold])
    func worker(_ change: String) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "j")).view.id
                try await TestCluster.run([change], on: target)
                let range = try await ledger.append([Self.draft], to: job)
                let stuck = try await eventually({ !$0.isEmpty }) { try await ledger.status().stuckJobs }
                #expect(stuck.map(\.job) == [job])
                #expect(stuck.first?.failure.message.contains("another version") == true)
                #expect(try await ledger.job(job)?.snapshot.sequence == 1)
                // The newer version's worker, whose turn it is, is simulated by undoing the change.
                try await TestCluster.run(
                    [
                        "delete from ledger.schema_migration where version > \(Migration.all.count)",
                        "update ledger.snapshot set fold_version = \(Fold.version)",
                    ], on: target)
                try await eventually {
                    try await ledger.waitUntilFolded(job, sequence: range.upperBound, deadline: .seconds(1))
                }
                #expect(try await ledger.job(job)?.snapshot.indicators.map(\.counted.done) == [1])
            }
        }
    }

    @Test("a running server neither verifies, exports, imports nor folds the past in a newer schema")
    func server() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { ledger in
                let job = try await PastJob.add(to: ledger)
                try await TestCluster.run([Self.newerSchema], on: target)
                func expectRefused<R>(_ name: String, _ body: () async throws -> R) async {
                    let error = await #expect(throws: StoreError.self, "\(name)") { _ = try await body() }
                    #expect(error?.code == .schema, "\(name): \(String(describing: error))")
                }
                await expectRefused("verify") { try await ledger.verify(job, Verification.Range()) }
                await expectRefused("export") { try await ledger.excerpt(job, after: 0, limit: 9) }
                await expectRefused("import") { try await ledger.importExcerpt(PastJob.excerpt(PastJob.finished)) }
                await expectRefused("replay") { try await ledger.beginReplay(Replay.Request()) }
                await expectRefused("past") { try await ledger.job(job, at: .sequence(2), counting: .last) }
                await expectRefused("policy") { try await ledger.job(job, counting: .lastSuccessful) }
                await expectRefused("tasks") {
                    try await ledger.tasks(job, at: .sequence(2), state: nil, limit: 9, after: nil)
                }
                await expectRefused("explain") {
                    try await ledger.explain(job, "l", at: .sequence(2), counting: .last, limit: 9, after: nil)
                }
                await expectRefused("diff") {
                    try await ledger.difference(job, from: .sequence(1), to: nil, counting: .last, limit: 9)
                }
                await expectRefused("history") { try await ledger.history(job, "l", points: 9) }
                let schema = await ledger.readiness().checks.first { $0.name == "schema" }
                #expect(schema?.isPassed == false && schema?.detail.contains("newer than this build") == true)
                #expect(try await ledger.job(job)?.snapshot.sequence == 4)
            }
        }
    }

    @Test("a replay neither replaces newer projections nor continues that of a newer version")
    func replays() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, replays: ReplayTests.small) { ledger in
                let job = try await PastJob.add(to: ledger)
                try await TestCluster.run([Self.newerFold], on: target)
                let error = await #expect(throws: StoreError.self) {
                    _ = try await ledger.beginReplay(Replay.Request(applies: true))
                }
                #expect(error?.code == .schema)
                try await TestCluster.run(
                    [
                        "update ledger.snapshot set fold_version = \(Fold.version)",
                        "insert into ledger.replay (job_id, applies, policy, fold_version) select job_id, true, 'last', "
                            + "\(Fold.version + 1) from ledger.job",
                    ], on: target)
                // A runner that continued it would end it at once, because it has no jobs.
                ledger.replaySignal.signal()
                try await eventually { ledger.replaySignal.isAwaited }
                #expect(try await ledger.replay(job)?.state == .running)
            }
        }
    }
}
