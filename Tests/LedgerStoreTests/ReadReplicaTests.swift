import Ledger
import LedgerTestSupport
import Logging
import PQ
import Testing

@testable import LedgerStore

/// Reads of the past on a standby equal those on the primary.
@Suite("Reads on a standby", .serialized, .timeLimit(.minutes(10)))
struct ReadReplicaTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static func report(_ number: Int64) -> EventDraft {
        EventDraft(
            .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: number, done: 1))
        )
    }

    /// Runs the closure with a ledger that reads from a standby.
    private func withLedger(
        _ primary: TestServer, reading target: ConnectionTarget, _ body: (PostgresLedger) async throws -> Void
    ) async throws {
        _ = try await Migrator(target: primary.target, logger: Self.silent).migrate()
        var settings = PostgresLedger.Settings()
        settings.replica = target
        try await withRunningLedger(on: primary.target, settings: settings, logger: Self.silent, body)
    }

    private static func replica(_ ledger: PostgresLedger) async throws -> LedgerStatus.ReadReplica {
        try #require(try await ledger.status().readReplica)
    }

    private static func run(_ statement: String, on server: TestServer) async throws {
        try await TestCluster.run([statement], on: server.target, logger: silent)
    }

    @Test("the standby serves every read of the past, each with the events acknowledged before it")
    func serves() async throws {
        try await withReplicatedServer(isSynchronous: false) { primary, standby in
            try await withLedger(primary, reading: standby.target) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                for number in Int64(1)...30 {
                    let last = try await ledger.append([Self.report(number)], to: job).upperBound
                    let past = try await ledger.job(job, at: .sequence(last), counting: .last)
                    #expect(past?.snapshot.sequence == last)
                    #expect(past?.snapshot.indicators.first?.counted.done == Int128(number))
                }
                #expect(try await ledger.waitUntilFolded(job, sequence: 31, deadline: .testTimeout))
                var reads = try await Self.replica(ledger).reads
                func expectRead(_ what: String, _ body: () async throws -> Void) async throws {
                    try await body()
                    let after = try await Self.replica(ledger).reads
                    #expect(after == reads + 1, "\(what)")
                    reads = after
                }
                try await expectRead("policy") {
                    let view = try await ledger.job(job, counting: .lastSuccessful)
                    #expect(view?.snapshot.sequence == 31)
                }
                try await expectRead("tasks") {
                    let page = try await ledger.tasks(job, at: .sequence(31), state: nil, limit: 10, after: nil)
                    #expect(page?.tasks.count == 1)
                }
                try await expectRead("explanation") {
                    let found = try await ledger.explain(
                        job, nil, at: .sequence(31), counting: .last, limit: 10, after: nil)
                    let explanation: Explanation? = if case .found(let page) = found { page } else { nil }
                    #expect(explanation?.sequence == 31)
                }
                try await expectRead("difference") {
                    let difference = try await ledger.difference(
                        job, from: .sequence(1), to: nil, counting: .last, limit: 10)
                    #expect(difference != nil)
                }
                try await expectRead("history") {
                    let result = try await ledger.history(job, nil, points: 10)
                    let history: IndicatorHistory? = if case .found(let history) = result { history } else { nil }
                    #expect(history != nil)
                }
                try await expectRead("verification") {
                    let verification = try await ledger.verify(job, Verification.Range())
                    #expect(verification?.isIntact == true)
                }
                try await expectRead("export") {
                    let excerpt = try await ledger.excerpt(job, after: 0, limit: 100)
                    #expect(excerpt?.events.count == 31)
                }
                _ = try await ledger.events(job, EventFilter(), after: nil, limit: 10)
                #expect(try await Self.replica(ledger).reads == reads, "the events of a running job are not past")
                _ = try await ledger.append([EventDraft(.jobFinished(.completed))], to: job)
                #expect(try await ledger.waitUntilFolded(job, sequence: 32, deadline: .testTimeout))
                try await expectRead("events") {
                    let page = try await ledger.events(job, EventFilter(), after: nil, limit: 100)
                    #expect(page?.events.count == 32)
                }
                let unknown = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)
                #expect(try await ledger.job(unknown, at: .sequence(1), counting: .last) == nil)
            }
        }
    }

    @Test("a standby that lags, or is away, is replaced by the primary, and used again later")
    func fallsBack() async throws {
        try await withReplicatedServer(isSynchronous: false) { primary, standby in
            try await withLedger(primary, reading: standby.target) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                func readsLast(_ last: EventSequence) async throws {
                    let past = try await ledger.job(job, at: .sequence(last), counting: .last)
                    #expect(past?.snapshot.sequence == last)
                }
                /// Waits until the standby serves a read again.
                func untilServed(_ last: EventSequence) async throws {
                    let before = try await Self.replica(ledger).reads
                    try await eventually({ $0 > before }) {
                        try await readsLast(last)
                        return try await Self.replica(ledger).reads
                    }
                }
                try await untilServed(1)

                try await Self.run("select pg_wal_replay_pause()", on: standby)
                let before = try await Self.replica(ledger)
                let last = try await ledger.append([Self.report(1)], to: job).upperBound
                try await readsLast(last)
                let lagging = try await Self.replica(ledger)
                #expect(lagging.reads == before.reads && lagging.fallbacks == before.fallbacks + 1)
                #expect(lagging.lagBytes ?? 0 > 0 && lagging.fault != nil)
                let gauge = await ledger.statistics().first { $0.name == "progress_ledger_read_replica_up" }
                #expect(gauge?.value == 0)
                // The next read does not wait for it.
                let started = ContinuousClock.now
                try await readsLast(last)
                #expect(started.duration(to: .now) < ReadReplica.waitMax)
                try await Self.run("select pg_wal_replay_resume()", on: standby)
                try await untilServed(last)

                try await standby.kill()
                try await readsLast(last)
                let away = try await Self.replica(ledger)
                #expect(away.lagBytes == nil && away.fault != nil)
                try await standby.start()
                try await untilServed(last)
                let again = try await Self.replica(ledger)
                #expect(again.fault == nil)
            }
        }
    }

    @Test("a former standby with a timeline of its own serves nothing")
    func refusesOtherTimelines() async throws {
        try await withReplicatedServer(isSynchronous: false) { primary, standby in
            try await withLedger(primary, reading: standby.target) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                try await eventually({ $0 > 0 }) {
                    _ = try await ledger.job(job, at: .sequence(1), counting: .last)
                    return try await Self.replica(ledger).reads
                }
                try await standby.promote()
                // Its log gets longer than that of the primary.
                try await Self.run("create table filler as select generate_series(1, 100000)", on: standby)
                try await Self.run("checkpoint", on: standby)
                let reads = try await Self.replica(ledger).reads
                let past = try await ledger.job(job, at: .sequence(1), counting: .last)
                #expect(past?.snapshot.sequence == 1)
                #expect(try await Self.replica(ledger).reads == reads)
            }
        }
    }

    @Test("another database serves nothing, even with a longer log")
    func refusesOtherDatabases() async throws {
        try await withTestServer { other in
            _ = try await Migrator(target: other.target, logger: Self.silent).migrate()
            try await Self.run("create table filler as select generate_series(1, 100000)", on: other)
            try await withTestServer { primary in
                try await withLedger(primary, reading: other.target) { ledger in
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    #expect(try await ledger.job(job, at: .sequence(1), counting: .last)?.snapshot.sequence == 1)
                    let replica = try await Self.replica(ledger)
                    #expect(replica.reads == 0 && replica.fallbacks == 1)
                }
            }
        }
    }
}
