internal import FoundationEssentials
internal import Glibc
public import Logging
public import PQ

/// A private PostgreSQL in a data folder, for whoever has no database yet: made when it is not there, started on a Unix
/// socket that nobody else reaches, found again when it runs already, stopped with the last one that uses it.
///
/// Started again where it dies while it is used; see ``keepRunning()``.
///
/// Never as root, which PostgreSQL refuses: then it runs as another user, `postgres` unless told otherwise.
public struct LocalPostgres: Sendable {
    /// How a private PostgreSQL is run.
    public struct Settings: Sendable {
        /// Where its data are; made if it is not there.
        public var dataFolder: String
        /// Whether what is committed survives a power failure. Only tests may do without.
        public var isDurable = true
        /// The most connections; each is a process.
        public var connectionsMax = 100
        /// Who it runs as when we are root.
        public var user = ProcessInfo.processInfo.environment[LocalPostgres.userVariable] ?? "postgres"

        public init(dataFolder: String) {
            self.dataFolder = dataFolder
        }
    }

    /// The variable that names the user it runs as when we are root.
    public static let userVariable = "PROGRESS_LEDGER_POSTGRES_USER"
    private static let programDeadline: Duration = .seconds(120)
    /// How often it is looked whether it still runs: reading two short files.
    private static let lookInterval: Duration = .seconds(1)
    /// The longest pause between two attempts to start it again.
    private static let restartPauseMax: Duration = .seconds(60)
    /// For how long one attempt tries: after a crash the processes of the one before need a moment to be gone.
    private static let restartDeadline: Duration = .seconds(5)
    /// For how long the processes of a server that crashed are waited for.
    private static let leftOverDeadline: Duration = .seconds(10)
    private static let superuser = "progress_ledger"
    /// What an address of a Unix socket holds (unix(7)), without the final zero.
    private static let socketPathMax = 107

    /// How to reach it, as its superuser; the database is for the caller to name.
    public let target: ConnectionTarget
    /// Where its log is.
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

    /// Makes sure that it runs, and that it can be connected to.
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
                "PostgreSQL runs as user \(owner.name), who cannot reach \(base). Choose a data folder below one that "
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

    /// Held by who starts it; two would get in each other's way.
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
            let made = String(decoding: found, as: UTF8.self).split(separator: "\n").first.map(String.init)
            guard made == major else {
                throw LocalPostgresError(
                    .versionMismatch,
                    "\(cluster) was made by PostgreSQL \(made ?? "?"), and \(programs.folder) is version \(major ?? "?"). "
                        + "Name the programs of version \(made ?? "?") in \(PostgresPrograms.folderVariable), or upgrade "
                        + "the cluster with pg_upgrade")
            }
            return
        }
        logger.info("making a private PostgreSQL", metadata: ["postgres.data": "\(cluster)"])
        // Made beside and then renamed, so that one that was broken off is never taken for a cluster.
        let unfinished = "\(base)/data.unfinished"
        try await require(["rm", "-rf", unfinished])
        try await require([
            programs.path("initdb"), "--pgdata", unfinished, "--username", Self.superuser, "--auth", "trust",
            "--encoding", "UTF8", "--locale", "C", "--no-instructions",
        ])
        try await require(["mv", unfinished, cluster])
    }

    /// Starts the server, or waits for one that is starting: after a crash it reads its log first.
    ///
    /// - Parameter deadline: Ends the attempts; one that is under way is waited for.
    /// - Throws: At once, if no further attempt can help.
    private func startServer(deadline: Duration) async throws(LocalPostgresError) {
        try owner.writeFile("\(cluster)/progress-ledger.conf", Self.configuration(settings, socketFolder))
        let begin = ContinuousClock.now
        var reason = ""
        while true {
            let status = try await runner.run(
                [programs.path("pg_ctl"), "status", "--pgdata", cluster], deadline: .seconds(20))
            if status.exitCode == 0 {
                if await accepts() { return }
                try refuseOtherProcess()
            } else {
                let before = Program.size(of: log)
                let start = try await runner.run(
                    [
                        programs.path("pg_ctl"), "start", "--wait", "--timeout", "100", "--silent", "--pgdata", cluster,
                        "--log", log, "--options", "-c config_file=\(Self.quoted("\(cluster)/progress-ledger.conf"))",
                    ], deadline: Self.programDeadline)
                if start.exitCode == 0, await accepts() { return }
                let said = Program.text(of: log, from: before)
                reason = said.isEmpty ? start.output : said
                let patience = Self.isLeftOver(reason) ? Self.leftOverDeadline : Self.isSlow(reason) ? deadline : .zero
                guard start.exitCode == 0 || ContinuousClock.now < begin + patience else { throw startFailure(reason) }
            }
            guard ContinuousClock.now < begin + deadline else { throw startFailure(reason) }
            do { try await Task.sleep(for: .milliseconds(200)) } catch {
                throw LocalPostgresError(.deadlineExceeded, "stopped while the private PostgreSQL was starting")
            }
        }
    }

    private func startFailure(_ reason: String) -> LocalPostgresError {
        let details = reason.isEmpty ? "" : "; the reason:\n\(reason)"
        return LocalPostgresError(
            .programFailed, "The private PostgreSQL does not start. Its log is \(log)\(details)")
    }

    /// Whether a start failed because of something that a server leaves behind when it crashes: for a moment its
    /// processes, and after a restart of the machine lock files with the number of some other process.
    private static func isLeftOver(_ reason: String) -> Bool {
        ["shared memory block", "lock file", "Address already in use"].contains { reason.contains($0) }
    }

    /// Whether a server was started and not ready in time.
    private static func isSlow(_ reason: String) -> Bool {
        ["did not start in time", "starting up"].contains { reason.contains($0) }
    }

    /// Throws if the process that `postmaster.pid` names is not a server of this folder. PostgreSQL takes any process of its
    /// account for the server, such as one that got the same number after a restart of the machine.
    ///
    /// The file is not removed here: on a shared disk it may belong to a server on another machine.
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

    /// The working folder of a process, which for a PostgreSQL server is its data folder; nil if it cannot be read.
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
            "# Written anew at each start; put settings of your own into own.conf beside it.",
            "listen_addresses = ''",
            "unix_socket_directories = '\(folder)'",
            "unix_socket_permissions = 0700",
            "max_connections = \(settings.connectionsMax)",
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

    private func accepts() async -> Bool {
        let pool = makePool()
        defer { Task(name: "local-postgres-close") { await pool.close() } }
        do {
            _ = try await pool.query(Query("select 1"))
            return true
        } catch {
            logger.debug("the private PostgreSQL does not answer yet", metadata: ["error": "\(error)"])
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

    /// Makes the database unless it is there.
    public func ensureDatabase(_ name: String) async throws(PQError) {
        let pool = makePool()
        defer { Task(name: "local-postgres-close") { await pool.close() } }
        let found = try await pool.query(Query("select 1 from pg_database where datname = $1", [.text(name)]))
        guard found.isEmpty else { return }
        let identifier = name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
        do {
            _ = try await pool.query(Query("create database \"\(identifier)\"", prepare: false), deadline: .seconds(60))
        } catch  where error.sqlState == .uniqueViolation || error.sqlState?.rawValue == "42P04" {
            logger.debug("another has made the database meanwhile", metadata: ["db.name": "\(name)"])
        }
    }

    /// Runs one of PostgreSQL's own programs, such as `pgbench`, as the user that the server runs as.
    ///
    /// - Returns: Its exit code, and the last 4,000 characters of what it printed.
    public func run(
        program: String, _ arguments: [String], deadline: Duration
    ) async throws(LocalPostgresError) -> (exitCode: Int32, output: String) {
        // Some machines keep the programs of clients in another folder, which is then on the path.
        let path = programs.path(program)
        return try await runner.run([access(path, X_OK) == 0 ? path : program] + arguments, deadline: deadline)
    }

    /// The process of the server; nil where it does not run.
    public var serverProcess: Int32? {
        guard let data = FileManager.default.contents(atPath: "\(cluster)/postmaster.pid") else { return nil }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").first.flatMap { Int32($0) }
    }

    private var isRunning: Bool {
        guard let process = serverProcess else { return false }
        // Where we are the first process of a container, the server is our child once `pg_ctl` has ended, and PostgreSQL
        // takes one that is dead and not waited for as alive.
        waitpid(process, nil, WNOHANG)
        guard let data = FileManager.default.contents(atPath: "/proc/\(process)/stat") else { return false }
        // "number (name) state …" (proc(5)). By its name, for another process may have got its number; one that is dead and
        // not waited for by whoever is its parent is there still.
        let text = String(decoding: data, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return false }
        return text[..<end].contains("postgres") && !text[end...].hasPrefix(") Z")
    }

    /// Starts it again whenever it has died, whatever from, until the task is cancelled. What was committed is there again;
    /// what is asked meanwhile fails or waits as it does with any database that is away.
    ///
    /// Never gives up: from one attempt that fails to the next it waits twice as long, a minute at most.
    public func keepRunning() async {
        var pause = Self.lookInterval
        while !Task.isCancelled {
            do { try await Task.sleep(for: pause) } catch { return }
            guard !isRunning else {
                pause = Self.lookInterval
                continue
            }
            logger.warning(
                "the private PostgreSQL has ended: it is started again", metadata: ["postgres.log": "\(log)"])
            do throws(LocalPostgresError) {
                let starting = try await Self.lockStarting(folder)
                defer { starting.release() }
                try await startServer(deadline: Self.restartDeadline)
                logger.info("the private PostgreSQL runs again")
                pause = Self.lookInterval
            } catch {
                guard !Task.isCancelled else { return }
                logger.error("the private PostgreSQL cannot be started again yet", metadata: ["error": "\(error)"])
                pause = min(pause * 2, Self.restartPauseMax)
            }
        }
    }

    /// Stops it, unless another process uses it still. Who is told to stop at once stops it all the same: a database that
    /// is left running belongs to nobody.
    public func stop() async throws(LocalPostgresError) {
        // A task of its own is not cancelled with ours.
        try await Task(name: "stop-postgres") { () async -> Result<Void, LocalPostgresError> in
            do throws(LocalPostgresError) { return .success(try await stopInAnyCase()) } catch {
                return .failure(error)
            }
        }.value.get()
    }

    private func stopInAnyCase() async throws(LocalPostgresError) {
        guard lock.becomeExclusive() else {
            lock.release()
            logger.info("another process uses the private PostgreSQL: it stays up")
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
            throw LocalPostgresError(.programFailed, "the private PostgreSQL does not stop:\n\(result.output)")
        }
        // The next start may be another user's, who could not use it.
        if !socketFolder.hasPrefix(folder) { rmdir(socketFolder) }
    }
}
