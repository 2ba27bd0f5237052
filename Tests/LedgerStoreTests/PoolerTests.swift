import Ledger
import LedgerStore
import LedgerTestSupport
import Logging
import PQ
import Testing

/// The ledger behind a real PgBouncer.
@Suite("Poolers", .timeLimit(.minutes(10)))
struct PoolerTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static func report(_ number: Int64) -> EventDraft {
        EventDraft(
            .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: number, done: 1))
        )
    }

    /// Creates a job, reports to it and waits for the fold.
    private func use(_ ledger: PostgresLedger) async throws {
        let job = try await ledger.createJob(JobDescription(name: "n")).view.id
        #expect(try await ledger.append([Self.report(1)], to: job) == 2...2)
        #expect(try await ledger.waitUntilFolded(job, sequence: 2, deadline: .testTimeout))
        let role = try await ledger.pool.query(Query("select current_user::text"))[0]
        #expect(try role.decode(0, as: String.self) == "progress_ledger_service")
        #expect(await ledger.readiness().isReady)
        _ = try await ledger.status()
    }

    /// Settings of PgBouncer for the end of a client's session.
    ///
    /// By default it discards everything. Without a query it passes a session on as it is.
    private static let resets: [[String: String]] = [[:], ["server_reset_query": ""]]

    @Test("session mode works from the migration on, and sessions are used again", arguments: resets)
    func sessionMode(_ settings: [String: String]) async throws {
        try await withTestDatabase { target in
            try await TestPooler.with("session", before: target, settings: settings) { pooled in
                let migrator = Migrator(target: pooled, logger: Self.silent)
                _ = try await migrator.migrate()
                for _ in 1...3 {
                    try await PostgresLedger.checkSession(of: pooled, logger: Self.silent)
                    // Errors are recorded: prepared statements of an earlier client would cause some.
                    try await withRunningLedger(on: pooled) { try await use($0) }
                    // A lock or a role that remained in a session would block or break the migration.
                    #expect(try await migrator.migrateAndRepair().applied == [])
                    #expect(try await migrator.guaranteeFaults() == [])
                }
            }
        }
    }

    @Test("a server behind a pooler gets notifications of a process that is not behind it")
    func notifications() async throws {
        try await withLedgerDatabase { target in
            try await TestPooler.with("session", before: target) { pooled in
                try await withRunningLedger(on: pooled, projection: nil) { reader in
                    try await withRunningLedger(on: target) { worker in
                        let job = try await reader.createJob(JobDescription(name: "n")).view.id
                        #expect(try await reader.append([Self.report(1)], to: job) == 2...2)
                        #expect(try await reader.waitUntilFolded(job, sequence: 2, deadline: .testTimeout))
                        #expect(try await worker.job(job)?.snapshot.sequence == 2)
                    }
                }
            }
        }
    }

    @Test("a pool smaller than the ledger's connections is shared, and all operations succeed")
    func smallPool() async throws {
        try await withLedgerDatabase { target in
            try await TestPooler.with("session", before: target, settings: ["default_pool_size": "6"]) { pooled in
                try await withRunningLedger(on: pooled) { ledger in
                    let jobs = try await Self.concurrently(1...40) { _ in
                        try await ledger.createJob(JobDescription(name: "n")).view.id
                    }
                    async let appended = Self.concurrently(jobs) {
                        try await ledger.append([Self.report(1)], to: $0)
                    }
                    async let read = Self.concurrently(jobs) { try await ledger.job($0) }
                    #expect(try await appended.count == jobs.count)
                    #expect(try await read.count == jobs.count)
                }
            }
        }
    }

    private static func concurrently<Items: Sequence<Item>, Item: Sendable, Result: Sendable>(
        _ items: Items, _ body: @escaping @Sendable (Item) async throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: Result.self) { group in
            for item in items { group.addTask { try await body(item) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    @Test("modes that share sessions are refused at the start", arguments: ["transaction", "statement"])
    func sharedSessions(_ mode: String) async throws {
        try await withTestDatabase { target in
            try await TestPooler.with(mode, before: target) { pooled in
                let migrator = Migrator(target: pooled, logger: Self.silent)
                for _ in 1...2 {
                    let migration = await #expect(throws: PQError.self) { try await migrator.migrateAndRepair() }
                    let session = await #expect(throws: PQError.self) {
                        try await PostgresLedger.checkSession(of: pooled, logger: Self.silent)
                    }
                    for error in [migration, session] {
                        #expect(error?.code == .sessionRefused, "\(mode): \(String(reflecting: error))")
                    }
                    #expect(migration?.message.contains("pool_mode = session") == true, "\(migration?.message ?? "")")
                    guard case .behind = try await Migrator(target: target, logger: Self.silent).check() else {
                        Issue.record("the refused migration has changed the database")
                        return
                    }
                }
                // The schema must not make a difference.
                _ = try await Migrator(target: target, logger: Self.silent).migrate()
                let session = await #expect(throws: PQError.self) {
                    try await PostgresLedger.checkSession(of: pooled, logger: Self.silent)
                }
                #expect(session?.message.contains("pool_mode = session") == true, "\(session?.message ?? "")")
            }
        }
    }

    /// Two sessions by turns look like two connections with a session each.
    ///
    /// They do if the connections execute one transaction each in turn.
    @Test("a pooler in transaction mode that gives out two sessions by turns is refused")
    func twoSessions() async throws {
        try await withLedgerDatabase { target in
            let settings = ["server_round_robin": "1", "default_pool_size": "2"]
            try await TestPooler.with("transaction", before: target, settings: settings) { pooled in
                let other = Pool(target: pooled, logger: Self.silent)
                // Two transactions at once open both sessions.
                for _ in 1...2 {
                    _ = try await Self.concurrently([1, 2]) { _ in
                        try await other.query(Query("select pg_sleep(0.2)", prepare: false))
                    }
                }
                for _ in 1...5 {
                    let error = await #expect(throws: PQError.self) {
                        try await PostgresLedger.checkSession(of: pooled, logger: Self.silent)
                    }
                    #expect(error?.code == .sessionRefused)
                }
                await other.close()
            }
        }
    }

    @Test("a pooler in transaction mode with other clients is refused")
    func busyPooler() async throws {
        try await withLedgerDatabase { target in
            let settings = ["server_round_robin": "1", "min_pool_size": "10"]
            try await TestPooler.with("transaction", before: target, settings: settings) { pooled in
                let other = Pool(target: pooled, logger: Self.silent)
                try await withThrowingTaskGroup { group in
                    for _ in 1...4 {
                        group.addTask {
                            while !Task.isCancelled {
                                _ = try await other.query(Query("select pg_sleep(0.002)", prepare: false))
                            }
                        }
                    }
                    for _ in 1...20 {
                        let error = await #expect(throws: PQError.self) {
                            try await PostgresLedger.checkSession(of: pooled, logger: Self.silent)
                        }
                        #expect(error?.code == .sessionRefused)
                    }
                    group.cancelAll()
                    do { try await group.waitForAll() } catch is CancellationError {} catch let error as PQError {
                        #expect(error.code == .cancelled)
                    }
                }
                await other.close()
            }
        }
    }
}
