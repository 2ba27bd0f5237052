internal import FoundationEssentials
internal import Glibc
internal import LedgerStore
public import PQ

/// A PgBouncer in front of a database, for the duration of a closure.
public enum TestPooler {
    /// The path of the program; nil if it is not installed.
    public static var program: String? {
        ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].first { access($0, X_OK) == 0 }
    }

    /// Runs the closure with a pooler in front of this database.
    ///
    /// - Parameters:
    ///   - mode: `session`, `transaction` or `statement`.
    ///   - target: The database.
    ///   - settings: More settings of PgBouncer.
    ///   - body: Receives the connection target of the pooler.
    public static func with<R>(
        _ mode: String, before target: ConnectionTarget, settings: [String: String] = [:],
        _ body: (ConnectionTarget) async throws -> R
    ) async throws -> R {
        guard let program else { throw Failure(description: "PgBouncer is not installed; Scripts/setup installs it") }
        let owner = try Owner.current(
            runAs: ProcessInfo.processInfo.environment[LocalPostgres.userVariable] ?? "postgres")
        let folder = "/tmp/ledger-pooler-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try owner.makeFolder(folder, mode: 0o700, isOurs: false)
        let port = Int.random(in: 20_000...60_000)
        let text = """
            [databases]
            * = host=\(target["host"] ?? "") port=\(target["port"] ?? "5432")
            [pgbouncer]
            listen_addr =
            listen_port = \(port)
            unix_socket_dir = \(folder)
            auth_type = any
            pool_mode = \(mode)
            default_pool_size = 20
            max_client_conn = 200
            logfile = \(folder)/log
            pidfile = \(folder)/pid
            """
        // With `auth_type = any`, PgBouncer requires a user for each database.
        let user = target["user"] ?? "postgres"
        let configuration = text.replacing(
            "port=\(target["port"] ?? "5432")", with: "port=\(target["port"] ?? "5432") user=\(user)")
        let more = settings.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)\n" }.joined()
        try owner.writeFile("\(folder)/pgbouncer.ini", configuration + "\n" + more)
        let runner = Program(prefix: owner.prefix, log: "\(folder).log")
        let started = try await runner.run([program, "-d", "\(folder)/pgbouncer.ini"], deadline: .seconds(30))
        guard started.exitCode == 0 else { throw Failure(description: started.output) }
        let pooled = target.setting("host", folder).setting("port", String(port))
        let result: Result<R, any Error>
        do {
            // The socket exists before the pooler accepts connections.
            let pool = Pool(target: pooled, logger: TestCluster.logger)
            try await eventually(equals: 1, retriesErrors: true) {
                try await pool.query(Query("select 1", prepare: false)).count
            }
            await pool.close()
            result = .success(try await body(pooled))
        } catch {
            result = .failure(error)
        }
        if let pid = FileManager.default.contents(atPath: "\(folder)/pid"),
            let process = Int32(String(decoding: pid, as: UTF8.self).split(separator: "\n").first ?? "")
        {
            kill(process, SIGKILL)
        }
        // Uses `rm` as the account that owns the files, because Foundation refuses to remove the socket.
        _ = try await runner.run(["rm", "-rf", folder], deadline: .seconds(30))
        try FileManager.default.removeItem(atPath: "\(folder).log")
        return try result.get()
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }
}
