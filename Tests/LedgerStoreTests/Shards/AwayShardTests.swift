import Ledger
import LedgerTestSupport
import Logging
import PQ
import Testing

@testable import LedgerStore

@Suite("A shard that is away", .serialized, .timeLimit(.minutes(10)))
struct AwayShardTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static func progress(_ report: Int64) -> EventDraft {
        EventDraft(
            .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: report, done: 1))
        )
    }

    @Test("a shard that is away makes only its own jobs unavailable; lists and status name it")
    func awayShard() async throws {
        try await withTestServer { server in
            try await withLedgerDatabases(1) { targets in
                var targets = targets
                targets[1] = server.target
                _ = try await Migrator(target: server.target, logger: Self.silent).migrate()
                try await addShards([0, 1], of: targets)
                try await withRunningShards(targets, projection: nil) { ledger, _ in
                    var jobs: [Int: [JobID]] = [:]
                    while (jobs[0]?.count ?? 0) < 5 || (jobs[1]?.count ?? 0) < 5 {
                        let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                        jobs[ledger.location(of: job), default: []].append(job)
                    }
                    let here = try #require(jobs[0])
                    let there = try #require(jobs[1])
                    try await server.kill()
                    // No request waits for the other shard.
                    let started = ContinuousClock.now
                    for job in here {
                        _ = try await ledger.append([Self.progress(1)], to: job)
                        #expect(try await ledger.job(job)?.ledgerSequence == 2)
                    }
                    #expect(started.duration(to: .now) < .seconds(2))
                    for _ in 0..<10 {
                        let job = try await ledger.createJob(JobDescription(name: "new")).view.id
                        #expect(ledger.location(of: job) == 0)
                    }
                    let error = await #expect(throws: StoreError.self) { try await ledger.job(there[0]) }
                    #expect(error?.code == .unavailable && error?.message.hasPrefix("shard 1: ") == true)
                    #expect(error?.shard == 1)
                    let refused = await #expect(throws: StoreError.self) {
                        try await ledger.append([Self.progress(1)], to: there[0])
                    }
                    #expect(refused?.code == .unavailable, "\(String(reflecting: refused))")
                    let page = try await ledger.jobList(JobFilter(name: "n"), in: .newest, limit: 100, after: nil)
                    #expect(page.missingShards == [1] && page.jobs.map(\.id) == here.sorted(by: >))
                    await #expect(throws: StoreError.self) { try await ledger.heads(after: nil, limit: 10) }
                    let readiness = await ledger.readiness()
                    #expect(readiness.isReady)
                    #expect(readiness.checks.contains { $0.isWarning && $0.detail.hasPrefix("shard 1: ") })
                    let status = try await ledger.status()
                    #expect(status.shards.map(\.number) == [0, 1] && status.shards[0].fault == nil)
                    #expect(status.shards[1].fault != nil)
                    let reachable = await ledger.statistics().filter { $0.name == "progress_ledger_database_reachable" }
                    #expect(reachable.map(\.value) == [1, 0])
                    try await server.start()
                    try await eventually(equals: 2...2, retriesErrors: true) {
                        try await ledger.append([Self.progress(1)], to: there[0])
                    }
                    try await eventually(equals: []) {
                        try await ledger.jobList(JobFilter(name: "n"), in: .newest, limit: 100, after: nil)
                            .missingShards
                    }
                }
            }
        }
    }

    @Test("an append that waits for the shard that decides it is a warning, until that shard is back")
    func settlementWarning() async throws {
        try await withTestServer { server in
            try await withLedgerDatabases(1) { targets in
                var targets = targets
                targets[1] = server.target
                _ = try await Migrator(target: server.target, logger: Self.silent).migrate()
                try await addShards([0, 1], of: targets)
                try await withRunningShards(targets, projection: nil) { ledger, shards in
                    let shard = try #require(shards[0])
                    let job = try await shard.createJob(JobDescription(name: "n")).view.id
                    let id = JobID(createdAt: .now, randomHigh: 1, randomLow: .random(in: 0 ... .max))
                    let append = PreparedAppend(id: id, decider: 1)
                    try await server.kill()
                    _ = try await shard.prepare(
                        AppendRequest(entries: [(job, Self.progress(1))]), as: append.name(in: 0))
                    try await eventually({ $0.contains { $0.name == "settlement" && $0.isWarning && $0.isPassed } }) {
                        await ledger.readiness().checks
                    }
                    let figures = await shard.statistics()
                    let age = figures.first { $0.name == "progress_ledger_prepared_transaction_seconds" }?.value
                    #expect(age.map { $0 > 0 } == true)
                    try await server.start()
                    try await eventually({ !$0.contains { $0.name == "settlement" } }) {
                        await ledger.readiness().checks
                    }
                    #expect(try await shard.preparedTransactions(olderThan: .zero).isEmpty)
                    #expect(try await shard.append([Self.progress(2)], to: job) == 2...2, "the prepared part is absent")
                }
            }
        }
    }
}
