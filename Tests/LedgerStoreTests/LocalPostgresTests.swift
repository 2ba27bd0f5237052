import Foundation
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("The private PostgreSQL", .serialized)
struct LocalPostgresTests {
    private func withFolder(_ name: String = UUID().uuidString, _ body: (String) async throws -> Void) async throws {
        let folder = "/tmp/plt-\(name.prefix(120))"
        do { try await body(folder) } catch {
            try FileManager.default.removeItem(atPath: folder)
            throw error
        }
        try FileManager.default.removeItem(atPath: folder)
    }

    @Test("a program that the ledger starts inherits no descriptor")
    func inheritsNothing() async throws {
        // Without close-on-exec, as Foundation's pipes.
        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let log = "/tmp/plt-program-\(UUID().uuidString)"
        defer { TestFiles.remove(log) }
        let run = try await Program(prefix: [], log: log).run(
            ["sh", "-c", "ls /proc/$$/fd"], deadline: .seconds(60))
        #expect(run.exitCode == 0)
        #expect(Set(run.output.split(separator: "\n").compactMap { Int($0) }).isSubset(of: [0, 1, 2]), "\(run.output)")
    }

    private func start(_ folder: String) async throws -> LocalPostgres {
        var settings = LocalPostgres.Settings(dataFolder: folder)
        settings.isDurable = false
        return try await LocalPostgres.start(settings, logger: TestCluster.logger)
    }

    private func query(_ postgres: LocalPostgres, _ sql: String, database: String = "kept") async throws -> Int {
        let pool = Pool(target: postgres.target.setting("dbname", database), logger: TestCluster.logger)
        let result = try await pool.query(Query(sql, prepare: false))
        await pool.close()
        return try result.first?.decode(0) ?? 0
    }

    @Test("it keeps its data over a stop and over a crash")
    func keepsData() async throws {
        try await withFolder { folder in
            let first = try await start(folder)
            try await first.ensureDatabase("kept")
            try await first.ensureDatabase("kept")
            _ = try await query(first, "create table t as select 7 as n")
            try await first.stop()
            #expect(first.serverProcess == nil)

            let second = try await start(folder)
            #expect(try await query(second, "select n from t") == 7)
            let process = try #require(second.serverProcess)
            kill(process, SIGKILL)
            try await eventually { kill(process, 0) != 0 }

            let third = try await start(folder)
            #expect(try await query(third, "select n from t") == 7)
            try await third.stop()
            // The second instance has not been stopped yet, and its server is the third's.
            try await second.stop()
            #expect(third.serverProcess == nil)
        }
    }

    @Test("a server that is killed or stopped while in use is restarted with its data", arguments: [1, 2])
    func isRestarted(users: Int) async throws {
        try await withFolder { folder in
            var all: [LocalPostgres] = []
            for _ in 0..<users { all.append(try await start(folder)) }
            let postgres = all[0]
            try await postgres.ensureDatabase("kept")
            _ = try await query(postgres, "create table t as select 7 as n")
            // This server is not durable, so data that must survive a crash has to be written first.
            _ = try await query(postgres, "checkpoint")
            let keepers = all.map { postgres in Task { await postgres.keepRunning() } }
            defer { for keeper in keepers { keeper.cancel() } }
            for signal in [SIGKILL, SIGINT] {
                let process = try #require(postgres.serverProcess)
                #expect(kill(process, signal) == 0)
                // The query fails until the server is back.
                try await eventually({ $0 != process }, retriesErrors: true) { () -> Int32? in
                    let kept = try await query(postgres, "select n from t")
                    #expect(kept == 7)
                    return postgres.serverProcess
                }
            }
            for keeper in keepers { keeper.cancel() }
            for keeper in keepers { await keeper.value }
            // A server that was stopped by its users is not restarted.
            for postgres in all { try await postgres.stop() }
            #expect(postgres.serverProcess == nil)
        }
    }

    @Test("two users share one data folder, and only the last one stops the server")
    func isShared() async throws {
        try await withFolder { folder in
            let first = try await start(folder)
            let second = try await start(folder)
            #expect(first.serverProcess == second.serverProcess)
            try await first.ensureDatabase("kept")
            try await first.stop()
            #expect(try await query(second, "select 1") == 1)
            try await second.stop()
            #expect(second.serverProcess == nil)
        }
    }

    @Test("a data folder with a long path gets a socket in a folder with a short path")
    func longPaths() async throws {
        try await withFolder(UUID().uuidString + String(repeating: "long", count: 25)) { folder in
            let postgres = try await start(folder)
            try await postgres.ensureDatabase("kept")
            #expect(try await query(postgres, "select 1") == 1)
            try await postgres.stop()
        }
    }

    @Test("a cluster of another major version is refused with the remedy")
    func otherVersions() async throws {
        try await withFolder { folder in
            try await start(folder).stop()
            try Data("9\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/postgresql/data/PG_VERSION"))
            let error = await #expect(throws: LocalPostgresError.self) { try await start(folder) }
            #expect(error?.code == .versionMismatch)
        }
    }
}
