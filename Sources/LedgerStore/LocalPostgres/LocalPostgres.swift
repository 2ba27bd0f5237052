internal import FoundationEssentials
internal import Glibc
public import Logging
public import PQ

/// A private PostgreSQL in a data folder, for users without a database.
///
/// It is created if it does not exist, started on a Unix socket that only its user can reach, found if it already runs,
/// and stopped with the last process that uses it. If it dies while it is in use, ``keepRunning()`` starts it again.
/// PostgreSQL refuses to run as root. Under root it runs as another user, `postgres` by default.
public struct LocalPostgres: Sendable {
    /// The settings of a private PostgreSQL.
    public struct Settings: Sendable {
        /// The data folder. It is created if it does not exist.
        public var dataFolder: String
        /// Whether commits survive a power failure. Only tests may turn it off.
        public var isDurable = true
        /// The maximum number of connections. Each one is a process.
        public var connectionsMax = 100
        /// The maximum number of prepared transactions, which only shards need.
        public var preparedTransactionsMax = 0
        /// The user that it runs as if this process is root.
        public var user = ProcessInfo.processInfo.environment[LocalPostgres.userVariable] ?? "postgres"

        public init(dataFolder: String) {
            self.dataFolder = dataFolder
        }
    }

    /// The variable for the user that it runs as if this process is root.
    public static let userVariable = "PROGRESS_LEDGER_POSTGRES_USER"
    private static let programDeadline: Duration = .seconds(120)
    /// The interval between checks that it still runs. A check reads two short files.
    private static let checkInterval: Duration = .seconds(1)
    /// The maximum pause between two attempts to start it again.
    private static let restartPauseMax: Duration = .seconds(60)
    /// The time limit of one attempt to restart it.
    ///
    /// After a crash, the processes of the previous server need a moment to end.
    private static let restartDeadline: Duration = .seconds(5)
    /// The time to wait for the processes of a server that crashed.
    private static let leftoverDeadline: Duration = .seconds(10)
    private static let superuser = "progress_ledger"
    /// The capacity of a Unix socket address (unix(7)), without the final zero.
    private static let socketPathMax = 107

    /// The connection target, as superuser. The caller chooses the database.
    public let target: ConnectionTarget
    /// The path of its log.
    public let log: String
    private let settings: Settings
    private let folder: String
    private let socketFolder: String
    private let owner: Owner
    private let cluster: String
    private let programs: PostgresPrograms
    private let runner: Program
    private let lock: FolderLock
    private let logger: Logger

    /// Ensures that it runs and accepts connections.
    public static func start(_ settings: Settings, logger: Logger) async throws(LocalPostgresError) -> LocalPostgres {
        let programs = try PostgresPrograms.find()
        let owner = try Owner.current(runAs: settings.user)
        let folder =
            settings.dataFolder.hasPrefix("/")
            ? settings.dataFolder : "\(FileManager.default.currentDirectoryPath)/\(settings.dataFolder)"
        try owner.makeFolder(folder, mode: 0o755, isOurs: true)
        let base = "\(folder)/postgresql"
        try owner.makeFolder(base, mode: 0o700, isOurs: false)
        let runner = Program(prefix: owner.prefix, log: "\(folder)/setup.log")
        let access = try await runner.run(["test", "-w", base, "-a", "-x", base], deadline: .seconds(10))
        guard access.exitCode == 0 else {
            throw LocalPostgresError(
                .folderUnusable,
                "PostgreSQL runs as user \(owner.name), which cannot access \(base). Choose a data folder below one that "
                    + "every user may enter, such as /var/lib/progress-ledger (--data)")
        }

        let starting = try await lockStarting(folder)
        defer { starting.release() }
        let lock = try FolderLock.shared("\(folder)/in-use.lock")
        let socketFolder = try Self.socketFolder(base, owner)
        let postgres = LocalPostgres(
            target: try Self.target(socketFolder), log: "\(base)/postgresql.log", settings: settings, folder: folder,
            socketFolder: socketFolder, owner: owner, cluster: "\(base)/data", programs: programs, runner: runner,
            lock: lock, logger: logger)
        try await postgres.makeCluster(base)
        try await postgres.startServer(deadline: programDeadline)
        return postgres
    }

    /// Locks the start, because two starting processes would disturb each other.
    private static func lockStarting(_ folder: String) async throws(LocalPostgresError) -> FolderLock {
        try await FolderLock.exclusive("\(folder)/starting.lock", deadline: programDeadline)
    }

    private static func target(_ socketFolder: String) throws(LocalPostgresError) -> ConnectionTarget {
        do {
            return try ConnectionTarget("").setting("host", socketFolder).setting("port", "5432")
                .setting("user", superuser).setting("dbname", "postgres")
        } catch {
            throw LocalPostgresError(.programFailed, error.message)
        }
    }

    private static func socketFolder(_ base: String, _ owner: Owner) throws(LocalPostgresError) -> String {
        let usual = "\(base)/run"
        let isShort = "\(usual)/.s.PGSQL.5432".utf8.count <= socketPathMax
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in base.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let folder = isShort ? usual : "/tmp/progress-ledger-\(String(hash, radix: 16))"
        try owner.makeFolder(folder, mode: 0o700, isOurs: false)
        return folder
    }

    // MARK: The cluster

    private func makeCluster(_ base: String) async throws(LocalPostgresError) {
        let version = try await runner.run([programs.path("postgres"), "--version"], deadline: .seconds(20))
        // "postgres (PostgreSQL) 15.18 (Debian …)"
        let major = version.output.split(separator: " ").compactMap { Double($0) ?? Double($0.prefix(2)) }.first
            .map { String(Int($0)) }
        if let found = FileManager.default.contents(atPath: "\(cluster)/PG_VERSION") {
            let actual = String(decoding: found, as: UTF8.self).split(separator: "\n").first.map(String.init)
            guard actual == major else {
                throw LocalPostgresError(
                    .versionMismatch,
                    "\(cluster) was created by PostgreSQL \(actual ?? "?"), and \(programs.folder) is version \(major ?? "?"). "
                        + "Name the programs of version \(actual ?? "?") in \(PostgresPrograms.folderVariable), or upgrade "
                        + "the cluster with pg_upgrade")
            }
            return
        }
        logger.info("creating a private PostgreSQL", metadata: ["postgres.data": "\(cluster)"])
        // The cluster is created under another name and then renamed, so that an unfinished one is never used.
        let unfinished = "\(base)/data.unfinished"
        try await require(["rm", "-rf", unfinished])
        try await require([
            programs.path("initdb"), "--pgdata", unfinished, "--username", Self.superuser, "--auth", "trust",
            "--encoding", "UTF8", "--locale", "C", "--no-instructions",
        ])
        try await require(["mv", unfinished, cluster])
    }

    /// Starts the server, or waits for one that is starting and recovering.
    ///
    /// - Parameter deadline: The time for new attempts. An attempt in progress is always awaited.
    /// - Throws: The error at once, if no further attempt can help.
    private func startServer(deadline: Duration) async throws(LocalPostgresError) {
        try owner.writeFile("\(cluster)/progress-ledger.conf", Self.configuration(settings, socketFolder))
        let started = ContinuousClock.now
        var reason = ""
        while true {
            let status = try await runner.run(
                [programs.path("pg_ctl"), "status", "--pgdata", cluster], deadline: .seconds(20))
            if status.exitCode == 0 {
                if await acceptsConnections() { return }
                try refuseOtherProcess()
            } else {
                let logSize = Program.size(of: log)
                let start = try await runner.run(
                    [
                        programs.path("pg_ctl"), "start", "--wait", "--timeout", "100", "--silent", "--pgdata", cluster,
                        "--log", log, "--options", "-c config_file=\(Self.quoted("\(cluster)/progress-ledger.conf"))",
                    ], deadline: Self.programDeadline)
                if start.exitCode == 0, await acceptsConnections() { return }
                let logged = Program.text(of: log, from: logSize)
                reason = logged.isEmpty ? start.output : logged
                let timeout = Self.isLeftover(reason) ? Self.leftoverDeadline : Self.isSlow(reason) ? deadline : .zero
                guard start.exitCode == 0 || ContinuousClock.now < started + timeout else { throw startFailure(reason) }
            }
            guard ContinuousClock.now < started + deadline else { throw startFailure(reason) }
            do { try await Task.sleep(for: .milliseconds(200)) } catch {
                throw LocalPostgresError(.deadlineExceeded, "stopped while the private PostgreSQL was starting")
            }
        }
    }

    private func startFailure(_ reason: String) -> LocalPostgresError {
        let details = reason.isEmpty ? "" : "; the reason:\n\(reason)"
        return LocalPostgresError(
            .programFailed, "Cannot start the private PostgreSQL. Its log is \(log)\(details)")
    }

    /// Whether a start failed because of leftovers of a crashed server.
    ///
    /// These are its processes for a moment and, after a restart of the machine, lock files with the number of another
    /// process.
    private static func isLeftover(_ reason: String) -> Bool {
        ["shared memory block", "lock file", "Address already in use"].contains { reason.contains($0) }
    }

    /// Whether a server was started but not ready in time.
    private static func isSlow(_ reason: String) -> Bool {
        ["did not start in time", "starting up"].contains { reason.contains($0) }
    }

    /// Throws if the process in `postmaster.pid` is not a server of this folder.
    ///
    /// PostgreSQL takes any process of its user for the server, for example one that got the same number after a
    /// restart of the machine. The file is not removed here: on a shared disk it may belong to a server on another
    /// machine.
    private func refuseOtherProcess() throws(LocalPostgresError) {
        guard let process = serverProcess, let folder = Self.workingFolder(of: process),
            folder != Self.realPath(cluster)
        else { return }
        let file = "\(cluster)/postmaster.pid"
        throw LocalPostgresError(
            .folderUnusable,
            "\(file) contains process \(process), which is not the PostgreSQL of this folder: it runs in \(folder). "
                + "If this folder is a copy that was made while its PostgreSQL ran, copy it again after that was stopped. "
                + "If PostgreSQL crashed and no other machine uses this folder, remove \(file).")
    }

    /// The working folder of a process, or `nil` if it cannot be read.
    ///
    /// The working folder of a PostgreSQL server is its data folder.
    private static func workingFolder(of process: Int32) -> String? {
        realPath("/proc/\(process)/cwd")
    }

    private static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static func quoted(_ path: String) -> String {
        "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    private static func configuration(_ settings: Settings, _ socketFolder: String) -> String {
        let folder = socketFolder.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
        var lines = [
            "# Overwritten at each start. Put your own settings into own.conf in this folder.",
            "listen_addresses = ''",
            "unix_socket_directories = '\(folder)'",
            "unix_socket_permissions = 0700",
            "max_connections = \(settings.connectionsMax)",
            "max_prepared_transactions = \(settings.preparedTransactionsMax)",
            "shared_buffers = '128MB'",
            "max_wal_size = '2GB'",
            "wal_compression = on",
            "log_line_prefix = '%m [%p] '",
            "lc_messages = 'C'",
            "timezone = 'UTC'",
        ]
        if !settings.isDurable {
            lines += ["fsync = off", "synchronous_commit = off", "full_page_writes = off"]
        }
        return (lines + ["include_if_exists 'own.conf'", ""]).joined(separator: "\n")
    }

    private func acceptsConnections() async -> Bool {
        let pool = makePool()
        defer { Task(name: "local-postgres-close") { await pool.close() } }
        do {
            _ = try await pool.query(Query("select 1"))
            return true
        } catch {
            logger.debug("the private PostgreSQL does not accept connections yet", metadata: ["error": "\(error)"])
            return false
        }
    }

    private func require(_ arguments: [String]) async throws(LocalPostgresError) {
        let result = try await runner.run(arguments, deadline: Self.programDeadline)
        guard result.exitCode == 0 else {
            throw LocalPostgresError(
                .programFailed, "\(arguments[0]) failed with exit code \(result.exitCode):\n\(result.output)")
        }
    }

    private func makePool() -> Pool {
        var settings = Pool.Settings()
        settings.connectionsMax = 1
        return Pool(target: target, settings: settings, logger: logger)
    }

    // MARK: Use

    /// Creates the database if it does not exist.
    public func ensureDatabase(_ name: String) async throws(PQError) {
        let pool = makePool()
        defer { Task(name: "local-postgres-close") { await pool.close() } }
        let found = try await pool.query(Query("select 1 from pg_database where datname = $1", [.text(name)]))
        guard found.isEmpty else { return }
        let identifier = name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
        do {
            _ = try await pool.query(Query("create database \"\(identifier)\"", prepare: false), deadline: .seconds(60))
        } catch  where error.sqlState == .uniqueViolation || error.sqlState?.rawValue == "42P04" {
            logger.debug("another process has created the database", metadata: ["db.name": "\(name)"])
        }
    }

    /// Runs a program of PostgreSQL, such as `pgbench`, as the server's user.
    ///
    /// - Returns: Its exit code, and the last 4,000 characters of its output.
    public func run(
        program: String, _ arguments: [String], deadline: Duration
    ) async throws(LocalPostgresError) -> (exitCode: Int32, output: String) {
        // On some machines the client programs are in another folder, which is on the path.
        let path = programs.path(program)
        return try await runner.run([access(path, X_OK) == 0 ? path : program] + arguments, deadline: deadline)
    }

    /// The process of the server, or `nil` if it does not run.
    public var serverProcess: Int32? {
        guard let data = FileManager.default.contents(atPath: "\(cluster)/postmaster.pid") else { return nil }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").first.flatMap { Int32($0) }
    }

    private var isRunning: Bool {
        guard let process = serverProcess else { return false }
        // If this process is the first one of a container, the server becomes its child when `pg_ctl` ends. PostgreSQL
        // considers a dead process alive until its parent has waited for it.
        waitpid(process, nil, WNOHANG)
        guard let data = FileManager.default.contents(atPath: "/proc/\(process)/stat") else { return false }
        // The format is "number (name) state …" (proc(5)). The name is checked because another process may have got the
        // number. The state is checked because a dead process stays listed until its parent has waited for it.
        let text = String(decoding: data, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return false }
        return text[..<end].contains("postgres") && !text[end...].hasPrefix(") Z")
    }

    /// Restarts it whenever it has ended, until the task is cancelled.
    ///
    /// Committed data is there again. Requests during the restart fail or wait, as with any unavailable database.
    /// It never gives up. The pause doubles after each failed attempt, up to a minute.
    public func keepRunning() async {
        var pause = Self.checkInterval
        while !Task.isCancelled {
            do { try await Task.sleep(for: pause) } catch { return }
            guard !isRunning else {
                pause = Self.checkInterval
                continue
            }
            logger.warning(
                "the private PostgreSQL has ended; restarting it", metadata: ["postgres.log": "\(log)"])
            do throws(LocalPostgresError) {
                let starting = try await Self.lockStarting(folder)
                defer { starting.release() }
                try await startServer(deadline: Self.restartDeadline)
                logger.info("restarted the private PostgreSQL")
                pause = Self.checkInterval
            } catch {
                guard !Task.isCancelled else { return }
                logger.error("cannot restart the private PostgreSQL yet", metadata: ["error": "\(error)"])
                pause = min(pause * 2, Self.restartPauseMax)
            }
        }
    }

    /// Stops it, unless another process still uses it.
    ///
    /// A cancelled caller stops it too, because no other process would.
    public func stop() async throws(LocalPostgresError) {
        // An unstructured task is not cancelled with the caller.
        try await Task(name: "stop-postgres") { () async -> Result<Void, LocalPostgresError> in
            do throws(LocalPostgresError) { return .success(try await stopUnlessShared()) } catch {
                return .failure(error)
            }
        }.value.get()
    }

    private func stopUnlessShared() async throws(LocalPostgresError) {
        guard lock.becomeExclusive() else {
            lock.release()
            logger.info("another process uses the private PostgreSQL; leaving it running")
            return
        }
        defer { lock.release() }
        let result = try await runner.run(
            [
                programs.path("pg_ctl"), "stop", "--wait", "--timeout", "60", "--silent", "--mode", "fast", "--pgdata",
                cluster,
            ],
            deadline: .seconds(90))
        guard result.exitCode == 0 || serverProcess == nil else {
            throw LocalPostgresError(.programFailed, "cannot stop the private PostgreSQL:\n\(result.output)")
        }
        // Another user may start it next and could not use this folder.
        if !socketFolder.hasPrefix(folder) { rmdir(socketFolder) }
    }
}
