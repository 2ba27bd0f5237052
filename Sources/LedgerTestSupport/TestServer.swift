internal import FoundationEssentials
internal import Glibc
internal import LedgerStore
public import PQ

/// A PostgreSQL server for one test, which may kill, freeze and promote it.
///
/// It may have standbys. It keeps PostgreSQL's settings for durability (`synchronous_commit`), but does not wait for
/// the disk.
public final class TestServer: Sendable {
    /// The server's name; a standby reports it to its primary as `application_name`.
    public let name: String
    /// The connection target, as superuser in the database `postgres`.
    public let target: ConnectionTarget
    /// The port of its sockets.
    let port: Int
    private let folder: String
    private let programs: PostgresPrograms
    private let owner: Owner

    private init(name: String, port: Int) throws {
        self.name = name
        self.port = port
        programs = try PostgresPrograms.find()
        owner = try Owner.current(runAs: ProcessInfo.processInfo.environment[LocalPostgres.userVariable] ?? "postgres")
        // The folder is in /tmp, because the path of a socket must be short.
        folder = "/tmp/ledger-server-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try owner.makeFolder(folder, mode: 0o700, isOurs: false)
        target = try ConnectionTarget("host=\(folder) port=\(port) user=postgres dbname=postgres")
    }

    private var data: String { "\(folder)/data" }

    /// Creates a server and starts it.
    ///
    /// - Parameters:
    ///   - name: The server's name.
    ///   - settings: PostgreSQL settings.
    ///   - encoding: The encoding of the databases.
    ///   - port: The port of its sockets. It matters only if it listens on TCP.
    ///   - files: Files to write to its data folder before the start, by their names.
    public static func start(
        name: String = "primary", settings: [String: String] = [:], encoding: String = "UTF8", port: Int = 5432,
        files: [String: String] = [:]
    ) async throws -> TestServer {
        let server = try TestServer(name: name, port: port)
        try await server.run(
            "initdb", "--pgdata", server.data, "--username", "postgres", "--auth", "trust", "--encoding", encoding,
            "--locale", "C", "--no-sync")
        for (file, text) in files {
            let path = "\(server.data)/\(file)"
            try server.owner.writeFile(path, text)
            // PostgreSQL refuses a private key that others may read.
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        }
        try await server.start(settings)
        return server
    }

    /// Creates a standby of this server and starts it.
    public func startStandby(name: String) async throws -> TestServer {
        let standby = try TestServer(name: name, port: port)
        try await standby.run(
            "pg_basebackup", "--pgdata", standby.data, "--checkpoint", "fast", "--no-sync", "--write-recovery-conf",
            "--dbname", "\(target) application_name=\(name)")
        try await standby.start([:])
        return standby
    }

    /// Starts the server with additional settings.
    public func start(_ settings: [String: String] = [:]) async throws {
        var options =
            "-c listen_addresses='' -k \(folder) -p \(port) -c fsync=off -c max_connections=60 -c shared_buffers=16MB"
        options += " -c hot_standby=on -c wal_level=replica -c max_wal_senders=5 -c lc_messages=C"
        for (setting, value) in settings.sorted(by: { $0.key < $1.key }) { options += " -c \(setting)='\(value)'" }
        try await run(
            "pg_ctl", "--pgdata", data, "--log", "\(folder)/log", "--silent", "--wait", "--timeout", "60", "--options",
            options, "start")
    }

    /// Kills all processes of the server at once and waits for their end.
    ///
    /// This simulates a power failure.
    public func kill() async throws {
        let processes = try processes()
        for process in processes { Glibc.kill(process, SIGKILL) }
        try await eventually { processes.allSatisfy { Glibc.kill($0, 0) != 0 || Self.isZombie($0) } }
        // If no process reaps the zombies, PostgreSQL takes them for a running server and refuses to start.
        for path in ["\(data)/postmaster.pid", "\(folder)/.s.PGSQL.\(port).lock"] {
            if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
        }
    }

    private static func isZombie(_ process: Int32) -> Bool { fields(process)?.first == "Z" }

    /// Returns the fields of `/proc/PID/stat` after the name: state, parent and more.
    private static func fields(_ process: Int32) -> [Substring]? {
        guard let record = FileManager.default.contents(atPath: "/proc/\(process)/stat") else { return nil }
        return String(decoding: record, as: UTF8.self).split(separator: ")").last?.split(separator: " ")
    }

    /// Suspends all processes of the server.
    ///
    /// Connections stay open, but the server does not respond.
    public func freeze() throws {
        for process in try processes() { Glibc.kill(process, SIGSTOP) }
    }

    /// Resumes a suspended server.
    public func thaw() throws {
        for process in try processes() { Glibc.kill(process, SIGCONT) }
    }

    /// Promotes a standby to primary.
    public func promote() async throws {
        try await run("pg_ctl", "--pgdata", data, "--silent", "--wait", "promote")
    }

    /// Changes a setting for all current and later sessions.
    public func alter(_ setting: String, _ value: String) async throws {
        let pool = Pool(target: target, logger: TestCluster.logger)
        _ = try await pool.query(Query("alter system set \(setting) = '\(value)'", prepare: false))
        _ = try await pool.query(Query("select pg_reload_conf()"))
        await pool.close()
    }

    /// Stops the server and removes its data.
    public func remove() async {
        do {
            try thaw()
            try await kill()
        } catch {
            print("cannot stop the server in \(folder): \(error)")
        }
        for path in [folder, "\(folder).log"] {
            do { try FileManager.default.removeItem(atPath: path) } catch { print("cannot remove \(path): \(error)") }
        }
    }

    /// Returns the postmaster and its children.
    private func processes() throws -> [Int32] {
        guard let text = FileManager.default.contents(atPath: "\(data)/postmaster.pid"),
            let first = String(decoding: text, as: UTF8.self).split(separator: "\n").first,
            let postmaster = Int32(first)
        else { return [] }
        var found: [Int32] = []
        for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard let process = Int32(entry), let fields = Self.fields(process), fields.count > 1, fields[0] != "Z"
            else { continue }
            if process == postmaster || Int32(fields[1]) == postmaster { found.append(process) }
        }
        return found
    }

    private func run(_ program: String, _ arguments: String...) async throws {
        let runner = Program(prefix: owner.prefix, log: "\(folder).log")
        // The folder of the server's programs may lack client programs, which are then in PATH.
        let path = programs.path(program)
        let command = FileManager.default.isExecutableFile(atPath: path) ? path : program
        // A standby of a downloaded PostgreSQL would load the system's libpq, which may be older.
        let libraries = URL(fileURLWithPath: path).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("lib").path
        let usesOwn = FileManager.default.fileExists(atPath: "\(libraries)/libpq.so.5")
        let environment = usesOwn ? ["env", "LD_LIBRARY_PATH=\(libraries)"] : []
        let result = try await runner.run(environment + [command] + arguments, deadline: .seconds(120))
        guard result.exitCode == 0 else {
            throw Failure(description: "\(program) \(arguments.joined(separator: " ")): \(result.output)")
        }
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}

/// Runs the closure with a new server, which is removed afterwards.
public func withTestServer<R>(
    settings: [String: String] = [:], encoding: String = "UTF8", _ body: (TestServer) async throws -> R
) async throws -> R {
    let server = try await TestServer.start(settings: settings, encoding: encoding)
    let result: Result<R, any Error>
    do { result = .success(try await body(server)) } catch { result = .failure(error) }
    await server.remove()
    return try result.get()
}

/// Runs the closure with a new server and its standby.
///
/// - Parameters:
///   - isSynchronous: Whether commits wait for the standby.
///   - body: Receives both servers.
public func withReplicatedServer<R>(
    isSynchronous: Bool, _ body: (_ primary: TestServer, _ standby: TestServer) async throws -> R
) async throws -> R {
    try await withTestServer { primary in
        let standby = try await primary.startStandby(name: "standby1")
        let result: Result<R, any Error>
        do {
            let pool = Pool(target: primary.target, logger: TestCluster.logger)
            try await eventually({ !$0.isEmpty }) { try await pool.query(Query("select 1 from pg_stat_replication")) }
            await pool.close()
            if isSynchronous { try await primary.alter("synchronous_standby_names", "standby1") }
            result = .success(try await body(primary, standby))
        } catch {
            result = .failure(error)
        }
        await standby.remove()
        return try result.get()
    }
}
