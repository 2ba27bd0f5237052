internal import FoundationEssentials
internal import Glibc
internal import LedgerStore
internal import Logging
internal import PQ

/// A private, durable PostgreSQL and the servers that are measured on it.
final class BenchmarkMachine {
    /// A server with its database and the limit's database.
    ///
    /// Both databases have the same schema; PostgreSQL's own tools fill the limit's.
    struct Site {
        let server: ServerUnderTest
        /// The databases of the server: one, or one for each shard.
        let databases: [Pool]
        /// The names of ``databases``.
        var names: [String] = []
        /// The PostgreSQL servers with these databases.
        let machines: [BenchmarkMachine]
        let limit: Pool
        let limitName: String

        /// The first database.
        var ours: Pool { databases[0] }
    }

    private static let template = "bench_template"
    /// The size of the preallocated write-ahead log.
    ///
    /// About as much is written, and recycled, between two checkpoints.
    private static let logMegabytes = 1_024

    let postgres: LocalPostgres
    let postgresProcess: Int32
    let program: String
    let folder: String
    let logger: Logger
    private let administrator: Pool
    private var count = 0

    /// Starts PostgreSQL.
    static func startPostgres(
        in folder: String, preparedTransactionsMax: Int = 0, logger: Logger
    ) async throws(LocalPostgresError) -> LocalPostgres {
        var settings = LocalPostgres.Settings(dataFolder: folder)
        settings.connectionsMax = 300
        settings.preparedTransactionsMax = preparedTransactionsMax
        return try await LocalPostgres.start(settings, logger: logger)
    }

    /// Prepares a running PostgreSQL.
    ///
    /// - Parameters:
    ///   - postgres: The running server. If this initializer fails, the caller stops it.
    ///   - logMegabytes: The size of the preallocated write-ahead log.
    init(
        on postgres: LocalPostgres, program: String, folder: String, logMegabytes: Int = logMegabytes, logger: Logger
    ) async throws {
        self.program = program
        self.folder = folder
        self.logger = logger
        self.postgres = postgres
        guard let process = postgres.serverProcess else { throw BenchmarkError("PostgreSQL is not running") }
        postgresProcess = process
        administrator = Self.pool(postgres.target, logger)
        try await postgres.ensureDatabase(Self.template)
        _ = try await Migrator(target: postgres.target.setting("dbname", Self.template), logger: logger).migrate()
        try await preallocateLog(megabytes: logMegabytes)
    }

    /// Creates the log files that PostgreSQL otherwise creates during the load.
    ///
    /// A new PostgreSQL creates each log file when it needs it, and all commits wait for that; later it recycles the
    /// files. These waits would dominate the slowest hundredth of the latencies.
    private func preallocateLog(megabytes: Int) async throws {
        for statement in ["alter system set min_wal_size = '\(megabytes)MB'", "select pg_reload_conf()"] {
            _ = try await administrator.query(Query(statement, prepare: false))
        }
        for _ in 0..<megabytes / 16 {
            _ = try await administrator.query(Query("select pg_logical_emit_message(false, 'bench', '')"))
            _ = try await administrator.query(Query("select pg_switch_wal()"))
        }
        try await checkpoint()
    }

    private static func pool(_ target: ConnectionTarget, _ logger: Logger) -> Pool {
        var settings = Pool.Settings()
        settings.operationDeadline = .seconds(600)
        settings.session.settings = [("search_path", "pg_catalog"), ("timezone", "UTC")]
        return Pool(target: target, settings: settings, logger: logger)
    }

    /// The settings of PostgreSQL that affect the results.
    func settings() async throws -> [(name: String, value: String)] {
        let names = [
            "server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "wal_compression",
            "shared_buffers", "min_wal_size", "max_wal_size", "work_mem",
        ]
        var found: [(name: String, value: String)] = []
        for name in names {
            let rows = try await administrator.query(Query("select current_setting($1)", [.text(name)]))
            found.append((name, try rows[0].decode(0)))
        }
        return found
    }

    /// Runs the body with two new databases and a server on the first.
    ///
    /// - Parameters:
    ///   - needsToken: Whether the server requires a token.
    ///   - tls: The certificate that the server uses; nil for plain HTTP.
    func withSite<R>(
        projects: Bool, watchersMax: Int? = nil, needsToken: Bool = false, tls: LoadTLS? = nil,
        _ body: (Site) async throws -> R
    ) async throws -> R {
        count += 1
        let names = ["bench_ours_\(count)", "bench_limit_\(count)"]
        for name in names { try await create(name) }
        let server = try await server(
            on: names[0], projects: projects, watchersMax: watchersMax, needsToken: needsToken, tls: tls)
        let site = Site(
            server: server, databases: [pool(names[0])], machines: [self], limit: pool(names[1]), limitName: names[1])
        let result = try await body(site)
        try await server.stop()
        await site.ours.close()
        await site.limit.close()
        for name in names { try await drop(name) }
        return result
    }

    /// Starts a server on an existing database.
    func server(
        on name: String, projects: Bool, watchersMax: Int? = nil, needsToken: Bool = false, tls: LoadTLS? = nil
    ) async throws -> ServerUnderTest {
        let database = connection(to: name)
        let token = needsToken ? try await createToken(database) : nil
        return try await ServerUnderTest(
            program: program, ledger: ["--database", database], projects: projects, watchersMax: watchersMax,
            token: token, tls: tls, folder: folder)
    }

    /// The connection string of a database.
    func connection(to name: String) -> String {
        let target = postgres.target
        return ["host", "port", "user"].map { "\($0)='\(target[$0] ?? "")'" }.joined(separator: " ")
            + " dbname='\(name)'"
    }

    /// Creates a token that permits everything.
    private func createToken(_ database: String) async throws -> String {
        // Remarks follow the token.
        let lines = try await run([
            program, "token", "create", "bench", "--scope", "admin", "--database", database, "--direct",
        ])
        guard let token = lines.first(where: { $0.hasPrefix("pl_") }) else {
            throw BenchmarkError("no token was created: \(lines)")
        }
        return token
    }

    /// Makes a certificate of 127.0.0.1 that signs itself.
    func makeCertificate() async throws -> LoadTLS {
        let (certificate, key) = ("\(folder)/tls.pem", "\(folder)/tls.key")
        try await run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=benchmark", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
        ])
        return try LoadTLS(certificate: certificate, key: key)
    }

    /// Runs a program.
    ///
    /// - Returns: The lines of its output.
    @discardableResult
    func run(_ arguments: [String]) async throws -> [String] {
        let result = try await Program(prefix: [], log: "\(folder)/programs.log").run(arguments, deadline: .seconds(60))
        guard result.exitCode == 0 else { throw BenchmarkError("\(arguments[0]) failed:\n\(result.output)") }
        return result.output.split(separator: "\n").map(String.init)
    }

    /// A connection pool of this process on a database.
    func pool(_ name: String) -> Pool {
        Self.pool(postgres.target.setting("dbname", name), logger)
    }

    /// Creates a database with the schema of this version.
    func create(_ name: String) async throws {
        _ = try await administrator.query(Query("drop database if exists \(name) with (force)", prepare: false))
        _ = try await administrator.query(
            Query("create database \(name) template \(Self.template)", prepare: false), deadline: .seconds(60))
    }

    func drop(_ name: String) async throws {
        _ = try await administrator.query(Query("drop database \(name) with (force)", prepare: false))
    }

    /// Runs a checkpoint, so that no measurement pays for the one before.
    func checkpoint() async throws {
        _ = try await administrator.query(Query("checkpoint", prepare: false), deadline: .seconds(120))
    }

    /// Runs a pgbench script with prepared statements.
    func pgbench(
        _ script: String, database: String, clients: Int, seconds: Int, variables: [(String, String)] = []
    ) async throws -> LimitResult {
        let path = "\(folder)/postgresql/bench-\(UInt32.random(in: 0 ... .max))"
        let file = "\(folder)/bench.sql"
        guard FileManager.default.createFile(atPath: file, contents: Data(script.utf8)), chmod(file, 0o644) == 0 else {
            throw BenchmarkError("cannot write \(file)")
        }
        let target = postgres.target
        let process = postgresProcess
        let before = ProcessUsage.secondsWithChildren(of: process)
        var arguments = [
            "--no-vacuum", "--protocol", "prepared", "--client", "\(clients)", "--jobs", "\(min(2, clients))",
            "--time", "\(seconds)", "--log", "--log-prefix", path, "--file", file,
            "--host", target["host"] ?? "", "--port", target["port"] ?? "", "--username", target["user"] ?? "",
        ]
        for (name, value) in variables { arguments += ["--define", "\(name)=\(value)"] }
        let run = try await postgres.run(
            program: "pgbench", arguments + [database], deadline: .seconds(Int64(seconds + 120)))
        let line = run.output.split(separator: "\n").last { $0.hasPrefix("tps = ") }
        guard run.exitCode == 0, let words = line?.split(separator: " "), words.count > 2,
            let perSecond = Double(words[2])
        else { throw BenchmarkError("pgbench failed:\n\(run.output)") }
        let latencies = try Self.latencies("\(folder)/postgresql", path)
        return LimitResult(
            perSecond: perSecond, latencies: latencies,
            postgresSeconds: ProcessUsage.secondsWithChildren(of: process) - before,
            count: latencies.microseconds.count)
    }

    /// Reads and removes the log of pgbench.
    ///
    /// Each line is "client transaction microseconds …" (pgbench(1), --log).
    private static func latencies(_ folder: String, _ prefix: String) throws -> Latencies {
        var latencies = Latencies()
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            let path = "\(folder)/\(name)"
            guard path.hasPrefix(prefix + ".") else { continue }
            let text = FileManager.default.contents(atPath: path) ?? Data()
            for line in text.split(separator: 10) {
                let fields = line.split(separator: 32)
                guard fields.count > 2, let time = UInt32(String(decoding: fields[2], as: UTF8.self)) else { continue }
                latencies.add(microseconds: time)
            }
            try FileManager.default.removeItem(atPath: path)
        }
        return latencies
    }

    func stop() async throws {
        await close()
        try await postgres.stop()
    }

    /// Closes the connections. PostgreSQL keeps running.
    func close() async { await administrator.close() }

    // MARK: Faults

    /// Kills the server process of PostgreSQL.
    ///
    /// Its other processes end when they notice that it is gone.
    func kill() throws {
        guard let process = postgres.serverProcess, Glibc.kill(process, SIGKILL) == 0 else {
            throw BenchmarkError("PostgreSQL is not running")
        }
    }

    /// Starts a killed PostgreSQL again, and waits until it has recovered.
    func restart(within limit: Duration) async throws {
        let running = Task { [postgres] in await postgres.keepRunning() }
        defer { running.cancel() }
        let end = ContinuousClock.now + limit
        while true {
            do throws(PQError) {
                _ = try await administrator.query(Query("select 1"), deadline: .seconds(1))
                return
            } catch {
                guard ContinuousClock.now < end else { throw error }
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}

/// The result of a limit: a load on PostgreSQL alone.
struct LimitResult {
    let perSecond: Double
    var latencies = Latencies()
    /// The processor time of PostgreSQL, in seconds.
    let postgresSeconds: Double
    let count: Int
}
