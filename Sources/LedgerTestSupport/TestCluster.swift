internal import FoundationEssentials
internal import Glibc
internal import LedgerStore
public import Logging
public import PQ

/// The PostgreSQL cluster of the tests.
///
/// It is the cluster that `PROGRESS_LEDGER_TEST_CLUSTER` names, which `Scripts/test` starts and stops. Without the
/// variable, the tests start their own cluster and stop it when the process ends.
public actor TestCluster {
    public static let shared = TestCluster()
    /// The environment variable with the connection string of a cluster for the tests.
    ///
    /// The cluster must have no other users.
    public static let variable = "PROGRESS_LEDGER_TEST_CLUSTER"

    private var starting: Task<ConnectionTarget, any Error>?
    private var templates: [String: Task<Void, any Error>] = [:]
    private var count = 0
    private var admin: Pool?
    private var databasesInUse = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []
    /// The most tests that use a database at the same time.
    ///
    /// Without the limit, a small machine would spend its time on switching between tests, and they would miss their
    /// deadlines.
    private static let databasesMax = 6

    /// A logger that logs only errors.
    public static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        return logger
    }()

    /// Returns the connection target of the cluster, as its superuser.
    public func target() async throws -> ConnectionTarget {
        if let starting { return try await starting.value }
        let task = Task {
            if let given = ProcessInfo.processInfo.environment[Self.variable] { return try ConnectionTarget(given) }
            return try await Self.startOwn()
        }
        starting = task
        return try await task.value
    }

    private static func startOwn() async throws -> ConnectionTarget {
        let folder = "/tmp/progress-ledger-test-\(getpid())"
        var settings = LocalPostgres.Settings(dataFolder: folder)
        settings.isDurable = false
        settings.connectionsMax = 300
        let postgres = try await LocalPostgres.start(settings, logger: logger)
        if let process = postgres.serverProcess { StopAtExit.register(process, folder) }
        return postgres.target
    }

    private func pool() async throws -> Pool {
        let target = try await target()
        if let admin { return admin }
        var settings = Pool.Settings()
        settings.connectionsMax = 4
        settings.acquireDeadline = .seconds(120)
        settings.operationDeadline = .seconds(120)
        let pool = Pool(target: target, settings: settings, logger: Self.logger)
        admin = pool
        return pool
    }

    /// Creates an empty database or a copy of a template.
    ///
    /// The closure prepares the template once per process.
    func makeDatabase(
        template: String?, prepare: @escaping @Sendable (ConnectionTarget) async throws -> Void
    ) async throws -> ConnectionTarget {
        count += 1
        let name = "test_\(getpid())_\(count)"
        let pool = try await pool()
        guard let template else {
            _ = try await pool.query(Query("create database \(name)", prepare: false))
            return try await target().setting("dbname", name)
        }
        let templateName = "template_\(getpid())_\(template)"
        let base = try await target()
        let preparing =
            templates[template]
            ?? Task {
                _ = try await pool.query(Query("create database \(templateName)", prepare: false))
                try await prepare(base.setting("dbname", templateName))
            }
        templates[template] = preparing
        try await preparing.value
        _ = try await pool.query(Query("create database \(name) template \(templateName)", prepare: false))
        return base.setting("dbname", name)
    }

    /// Whether the test uses a database already.
    @TaskLocal private static var isInTurn = false

    /// Runs the closure once fewer than `databasesMax` tests use a database.
    ///
    /// A test that needs further databases gets them at once, because tests would otherwise wait for each other.
    static func inTurn<R>(_ body: () async throws -> R) async throws -> R {
        if isInTurn { return try await body() }
        await shared.begin()
        let result: Result<R, any Error>
        do { result = .success(try await $isInTurn.withValue(true) { try await body() }) } catch {
            result = .failure(error)
        }
        await shared.end()
        return try result.get()
    }

    private func begin() async {
        guard databasesInUse >= Self.databasesMax else {
            databasesInUse += 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    /// Lets the next waiting test begin.
    private func end() {
        guard waiting.isEmpty else { return waiting.removeFirst().resume() }
        databasesInUse -= 1
    }

    func dropDatabase(_ target: ConnectionTarget) async throws {
        guard let name = target["dbname"] else { return }
        _ = try await pool().query(Query("drop database if exists \(name) with (force)", prepare: false))
    }
}

/// Runs the closure with a new database, which is dropped afterwards.
///
/// - Parameters:
///   - template: The name of a template that is prepared once and copied; nil for an empty database.
///   - prepare: Prepares the template.
///   - body: Receives the connection target of the database.
public func withTestDatabase<R>(
    template: String? = nil, prepare: @escaping @Sendable (ConnectionTarget) async throws -> Void = { _ in },
    _ body: (ConnectionTarget) async throws -> R
) async throws -> R {
    try await TestCluster.inTurn {
        let target = try await TestCluster.shared.makeDatabase(template: template, prepare: prepare)
        let result: Result<R, any Error>
        do { result = .success(try await body(target)) } catch { result = .failure(error) }
        try await TestCluster.shared.dropDatabase(target)
        return try result.get()
    }
}

/// A handler that stops the cluster at the process's exit and removes the data.
private enum StopAtExit {
    nonisolated(unsafe) private static var server: Int32 = 0
    nonisolated(unsafe) private static var folder = ""

    /// Registers the server; called once, before `exit` can be called.
    static func register(_ process: Int32, _ path: String) {
        server = process
        folder = path
        atexit {
            // An immediate shutdown (`pg_ctl stop --mode immediate`), because the data is not needed.
            kill(StopAtExit.server, SIGQUIT)
            var rest = 500
            while kill(StopAtExit.server, 0) == 0, rest > 0 {
                usleep(10_000)
                rest -= 1
            }
            do { try FileManager.default.removeItem(atPath: StopAtExit.folder) } catch {
                print("cannot remove \(StopAtExit.folder): \(error)")
            }
        }
    }
}

extension TestCluster {
    /// Runs statements in a database, each by itself.
    public static func run(
        _ statements: [String], on target: ConnectionTarget, logger: Logger = TestCluster.logger
    ) async throws {
        let pool = Pool(target: target, logger: logger)
        let result: Result<Void, any Error>
        do {
            for statement in statements { _ = try await pool.query(Query(statement, prepare: false)) }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await pool.close()
        try result.get()
    }
}
