import Ledger
import LedgerTestSupport
import Logging
import PQ
import Testing

@testable import LedgerStore

/// Acknowledged events survive the loss of the primary.
///
/// Events that may not survive it are not acknowledged.
@Suite("Durability with a standby", .serialized, .timeLimit(.minutes(10)))
struct DurabilityTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static func report(_ number: Int64) -> EventDraft {
        EventDraft(
            .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: number, done: 1))
        )
    }

    private func withLedger<R: Sendable>(
        on target: ConnectionTarget, _ settings: PostgresLedger.Settings = PostgresLedger.Settings(),
        _ body: (PostgresLedger) async throws -> R
    ) async throws -> R {
        _ = try await Migrator(target: target, logger: Self.silent).migrate()
        return try await withRunningLedger(
            on: target, projection: nil, settings: settings, logger: Self.silent, body)
    }

    /// Runs the closure while every commit that waits for a standby is cancelled.
    private func cancelingCommits<R: Sendable>(
        _ server: TestServer, _ body: () async throws -> R
    ) async throws -> R {
        let pool = Pool(target: server.target, logger: Self.silent)
        let canceling = Task {
            while !Task.isCancelled {
                _ = try await pool.query(
                    Query("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"))
                // The pause is the pace of the load, not a wait.
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        let result: Result<R, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        canceling.cancel()
        let end = await canceling.result
        await pool.close()
        // If the canceling ended by itself, the test has tested nothing.
        if case .failure(let error) = end, !(error is CancellationError), (error as? PQError)?.code != .cancelled {
            throw error
        }
        return try result.get()
    }

    /// The number of a job's events, read directly from the table.
    private func count(_ server: TestServer, _ job: JobID) async throws -> Int {
        let pool = Pool(target: server.target, logger: Self.silent)
        let rows = try await pool.query(
            Query(
                "select count(*) from ledger.event where job_id = $1",
                [.uuid(job.uuid)]))
        await pool.close()
        return try rows[0].decode(0)
    }

    @Test("an append whose wait for the standby is cancelled is not acknowledged")
    func canceledWait() async throws {
        try await withReplicatedServer(isSynchronous: true) { primary, standby in
            try await withLedger(on: primary.target) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                #expect(try await ledger.append([Self.report(1)], to: job) == 2...2)
                try await standby.kill()
                for count in [1, 20, 300] {
                    let drafts = (0..<count).map { Self.report(Int64(1_000 * count + $0)) }
                    let error = await #expect(throws: StoreError.self) {
                        try await cancelingCommits(primary) { try await ledger.append(drafts, to: job) }
                    }
                    #expect(error?.code == .outcomeUnknown, "\(count) events: \(String(reflecting: error))")
                }
                try await standby.start()
                // All events with an unknown outcome are recorded once, because none was lost in the end.
                try await eventually(equals: 324...324, retriesErrors: true) {
                    try await ledger.append([Self.report(2)], to: job)
                }
            }
        }
    }

    @Test("an unreplicated creation of a job is not acknowledged, and neither is its repetition")
    func canceledCreation() async throws {
        try await withReplicatedServer(isSynchronous: true) { primary, standby in
            try await withLedger(on: primary.target) { ledger in
                try await standby.kill()
                for _ in 1...2 {
                    let error = await #expect(throws: StoreError.self) {
                        try await cancelingCommits(primary) {
                            try await ledger.createJob(JobDescription(name: "n", key: "k")).created
                        }
                    }
                    #expect(error?.code == .outcomeUnknown)
                }
                try await standby.start()
                #expect(try await ledger.createJob(JobDescription(name: "n", key: "k")).created == false)
            }
        }
    }

    @Test("the status shows which promises the database's settings make")
    func promises() async throws {
        try await withReplicatedServer(isSynchronous: true) { primary, standby in
            try await withLedger(on: primary.target) { ledger in
                // The standby is asynchronous until the primary has seen the changed setting.
                try await eventually(equals: 1) { try await ledger.status().database?.synchronousStandbys }
                var database = try #require(try await ledger.status().database)
                #expect(database.synchronousCommit == "on" && database.synchronousStandbyNames == "standby1")
                #expect(!database.fsync && database.fullPageWrites, "test servers do not wait for the disk")
                #expect(!database.survivesCrash && !database.survivesFailover)
                database.fsync = true
                #expect(database.survivesCrash && database.survivesFailover)
                try await standby.kill()
                try await eventually(equals: 0) { try await ledger.status().database?.synchronousStandbys }
                try await primary.alter("synchronous_standby_names", "")
                try await eventually(equals: "") { try await ledger.status().database?.synchronousStandbyNames }
            }
            // A login without the right to see the standbys does not get a wrong number of them.
            try await standby.start()
            let pool = Pool(target: primary.target, logger: Self.silent)
            for statement in ["create role plain login", "grant progress_ledger_service to plain"] {
                _ = try await pool.query(Query(statement, prepare: false))
            }
            try await eventually(equals: 1) { try await pool.query(Query("select from pg_stat_replication")).count }
            await pool.close()
            try await withRunningLedger(
                on: primary.target.setting("user", "plain"), projection: nil, logger: Self.silent
            ) { ledger in
                let database = try #require(try await ledger.status().database)
                #expect(database.synchronousStandbys == nil)
            }
        }
    }

    @Test("without its standby an append times out, but its commit is not cancelled")
    func standbyAway() async throws {
        try await withReplicatedServer(isSynchronous: true) { primary, standby in
            var settings = PostgresLedger.Settings()
            settings.operationDeadline = .seconds(2)
            try await withLedger(on: primary.target, settings) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                try await standby.kill()
                let started = ContinuousClock.now
                let error = await #expect(throws: StoreError.self) {
                    try await ledger.append([Self.report(1)], to: job)
                }
                #expect(error?.code == .outcomeUnknown)
                #expect(started.duration(to: .now) < .seconds(35))
                // The commit still waits, so the event is not visible. It appears as soon as the standby is back.
                let pool = Pool(target: primary.target, logger: Self.silent)
                let waiting = try await pool.query(
                    Query("select 1 from pg_stat_activity where wait_event = 'SyncRep'"))
                #expect(!waiting.isEmpty)
                try await standby.start()
                try await eventually(equals: 2) { try await count(primary, job) }
                await pool.close()
                try await eventually(equals: 3...3, retriesErrors: true) {
                    try await ledger.append([Self.report(2)], to: job)
                }
            }
        }
    }

    @Test("an abandoned commit returns its connection when its backend process is ended")
    func detachedAndEnded() async throws {
        try await withReplicatedServer(isSynchronous: true) { primary, standby in
            var settings = PostgresLedger.Settings()
            settings.operationDeadline = .seconds(1)
            try await withLedger(on: primary.target, settings) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                try await standby.kill()
                await #expect(throws: StoreError.self) { try await ledger.append([Self.report(1)], to: job) }
                #expect(await ledger.appendPool.statistics.lent > 0)
                let pool = Pool(target: primary.target, logger: Self.silent)
                try await eventually(equals: 0) {
                    _ = try await pool.query(
                        Query("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"))
                    return await ledger.appendPool.statistics.lent
                }
                await pool.close()
                try await standby.start()
                try await eventually({ $0.lowerBound >= 2 }, retriesErrors: true) {
                    try await ledger.append([Self.report(2)], to: job)
                }
            }
        }
    }

    @Test("when a frozen primary is replaced, appends succeed at the new one within seconds")
    func frozenPrimary() async throws {
        try await withReplicatedServer(isSynchronous: true) { primary, standby in
            let hosts = "\(primary.target["host"] ?? ""),\(standby.target["host"] ?? "")"
            let both = primary.target.setting("host", hosts).setting("port", "5432,5432")
                .setting("target_session_attrs", "read-write")
            try await withLedger(on: both) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                for number in Int64(1)...20 {
                    async let other = ledger.append([Self.report(100 + number)], to: job)
                    _ = try await ledger.append([Self.report(number)], to: job)
                    _ = try await other
                }
                // All connections for appends are open. None of them may be tried after the first has been given up.
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for _ in 1...20 {
                        tasks.addTask { _ = try await ledger.createJob(JobDescription(name: "n")) }
                    }
                    try await tasks.waitForAll()
                }
                try #require(await ledger.appendPool.statistics.connections > 2)
                try primary.freeze()
                try await standby.promote()
                let started = ContinuousClock.now
                try await eventually({ _ in true }, retriesErrors: true) {
                    try await ledger.append([Self.report(21)], to: job)
                }
                let waited = started.duration(to: .now)
                // It takes 5 s until the server is pinged, and 10 s for the response to time out. A second connection
                // to it would take as long again.
                #expect(waited < .seconds(29), "\(waited)")
                #expect(try await count(standby, job) >= 42)
            }
        }
    }
}
