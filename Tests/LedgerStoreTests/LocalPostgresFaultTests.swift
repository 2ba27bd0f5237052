import Foundation
import LedgerStore
import LedgerTestSupport
import Testing

@Suite("A private PostgreSQL that cannot start", .serialized)
struct LocalPostgresFaultTests {
    /// Runs the closure with a stopped cluster and its folder.
    private func withCluster(_ body: (_ folder: String, _ cluster: String) async throws -> Void) async throws {
        let folder = "/tmp/plf-\(UUID().uuidString)"
        defer { TestFiles.remove(folder) }
        try await start(folder).stop()
        try await body(folder, "\(folder)/postgresql/data")
    }

    private func start(_ folder: String) async throws -> LocalPostgres {
        var settings = LocalPostgres.Settings(dataFolder: folder)
        settings.isDurable = false
        return try await LocalPostgres.start(settings, logger: TestCluster.logger)
    }

    /// The error of a start that must fail soon.
    private func refusal(_ folder: String) async throws -> String {
        let begin = ContinuousClock.now
        let error = await #expect(throws: LocalPostgresError.self) { try await start(folder) }
        // The failure once took two minutes. A machine that is busy with other tests is slow, but not that slow.
        #expect(ContinuousClock.now - begin < .seconds(40))
        return error?.description ?? ""
    }

    /// Runs the closure while a process of PostgreSQL's user is running.
    private func withOtherProcess(_ body: (Int32) async throws -> Void) async throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        let account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"]
        process.arguments = (geteuid() == 0 ? account : []) + ["sleep", "600"]
        try process.begin()
        // A blocked SIGTERM, inherited from the thread that started it, would let it live on.
        defer { kill(process.processIdentifier, SIGKILL) }
        // Until then the process is root's, and PostgreSQL's user may not signal it.
        try await eventually {
            FileManager.default.contents(atPath: "/proc/\(process.processIdentifier)/comm") == Data("sleep\n".utf8)
        }
        try await body(process.processIdentifier)
    }

    @Test("root takes no folder away from the PostgreSQL of another user", .enabled(if: geteuid() == 0))
    func foreignFolder() async throws {
        let folder = "/tmp/plf-\(UUID().uuidString)"
        defer { TestFiles.remove(folder) }
        try FileManager.default.createDirectory(atPath: "\(folder)/postgresql", withIntermediateDirectories: true)
        let nobody: uid_t = 65_534
        try #require(chown("\(folder)/postgresql", nobody, nobody) == 0)
        #expect(try await refusal(folder).contains("belongs to user nobody"))
        var status = stat()
        #expect(stat("\(folder)/postgresql", &status) == 0 && status.st_uid == nobody)
    }

    @Test("a process with the number of a crashed server is named")
    func otherProcess() async throws {
        try await withCluster { folder, cluster in
            try await withOtherProcess { process in
                let file = "\(cluster)/postmaster.pid"
                try "\(process)\n\(cluster)\n1700000000\n5432\n\(folder)/postgresql/run\n\n"
                    .write(toFile: file, atomically: true, encoding: .utf8)
                let reason = try await refusal(folder)
                #expect(reason.contains("process \(process)"))
                #expect(reason.contains(file))
                #expect(FileManager.default.fileExists(atPath: file))
            }
        }
    }

    @Test("a socket lock with the number of another process is named")
    func otherProcessInSocketLock() async throws {
        try await withCluster { folder, cluster in
            try await withOtherProcess { process in
                try "\(process)\n\(cluster)\n1700000000\n5432\n\(folder)/postgresql/run\n"
                    .write(toFile: "\(folder)/postgresql/run/.s.PGSQL.5432.lock", atomically: true, encoding: .utf8)
                let reason = try await refusal(folder)
                #expect(reason.contains("PID \(process)"))
                #expect(reason.contains(".s.PGSQL.5432.lock"))
            }
        }
    }

    @Test("a folder that was copied while its server ran is refused with the folder of that server")
    func copiedFolder() async throws {
        try await withCluster { folder, _ in
            let postgres = try await start(folder)
            let process = try #require(postgres.serverProcess)
            let copy = "/tmp/plf-\(UUID().uuidString)"
            defer { TestFiles.remove(copy) }
            let copying = Process()
            copying.executableURL = URL(filePath: "/usr/bin/env")
            copying.arguments = ["cp", "--archive", folder, copy]
            try copying.begin()
            try await eventually { !copying.isRunning }
            let reason = try await refusal(copy)
            #expect(reason.contains("process \(process)"))
            #expect(reason.contains("\(folder)/postgresql/data"))
            try await postgres.stop()
        }
    }

    @Test("a wrong setting in own.conf is named, without earlier log lines")
    func wrongSetting() async throws {
        try await withCluster { folder, cluster in
            try "work_mem = plenty\n".write(toFile: "\(cluster)/own.conf", atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: "\(cluster)/own.conf")
            let reason = try await refusal(folder)
            #expect(reason.contains("work_mem"))
            #expect(!reason.contains("database system is shut down"))
            try FileManager.default.removeItem(atPath: "\(cluster)/own.conf")
            try await start(folder).stop()
        }
    }

    @Test("a data folder that others can access is refused with PostgreSQL's reason")
    func openFolder() async throws {
        try await withCluster { folder, cluster in
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: cluster)
            #expect(try await refusal(folder).contains("permissions"))
        }
    }
}
