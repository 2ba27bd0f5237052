internal import FoundationEssentials
internal import Glibc
internal import LedgerStore
public import Logging
public import PQ

/// The PostgreSQL that tests run on: the one that `PROGRESS_LEDGER_TEST_CLUSTER` names, which `Scripts/test` starts and
/// stops, or one that is started here and stopped when the process ends.
public actor TestCluster {
    public static let shared = TestCluster()
    /// The variable that holds the connection string of a cluster that belongs to the tests alone.
    public static let variable = "PROGRESS_LEDGER_TEST_CLUSTER"

    private var starting: Task<ConnectionTarget, any Error>?
    private var templates: [String: Task<Void, any Error>] = [:]
    private var count = 0
    private var admin: Pool?
    private var databasesInUse = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []
    /// Tests that use a database at the same time: with all of them at once a small machine does nothing but change
    /// between them, and no deadline of theirs means anything.
    private static let databasesMax = 6

    /// A logger that says nothing below errors.
    public static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        return logger
    }()

    /// How to reach the cluster, as its superuser.
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

    /// Makes an empty database, or a copy of a template that the closure prepares once for the whole process.
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

    /// Waits for its turn.
    func begin() async {
        guard databasesInUse >= Self.databasesMax else {
            databasesInUse += 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    /// Lets the next one begin, which takes the place.
    func end() {
        guard waiting.isEmpty else { return waiting.removeFirst().resume() }
        databasesInUse -= 1
    }

    func dropDatabase(_ target: ConnectionTarget) async throws {
        guard let name = target["dbname"] else { return }
        _ = try await pool().query(Query("drop database if exists \(name) with (force)", prepare: false))
    }
}

/// Runs the closure on a database of its own, which is dropped afterwards.
///
/// - Parameters:
///   - template: The name of a template that is prepared once and copied; nil for an empty database.
///   - prepare: What makes the template.
public func withTestDatabase<R>(
    template: String? = nil, prepare: @escaping @Sendable (ConnectionTarget) async throws -> Void = { _ in },
    _ body: (ConnectionTarget) async throws -> R
) async throws -> R {
    await TestCluster.shared.begin()
    let result: Result<R, any Error>
    do {
        let target = try await TestCluster.shared.makeDatabase(template: template, prepare: prepare)
        do { result = .success(try await body(target)) } catch { result = .failure(error) }
        try await TestCluster.shared.dropDatabase(target)
    } catch {
        await TestCluster.shared.end()
        throw error
    }
    await TestCluster.shared.end()
    return try result.get()
}

/// Stops the server that this process has started when it ends, and removes its data.
private enum StopAtExit {
    nonisolated(unsafe) private static var server: Int32 = 0
    nonisolated(unsafe) private static var folder = ""

    /// Called once, before `exit` can be.
    static func register(_ process: Int32, _ path: String) {
        server = process
        folder = path
        atexit {
            // Immediate shutdown (pg_ctl, "quit"): nothing here is worth keeping.
            kill(StopAtExit.server, SIGQUIT)
            var rest = 500
            while kill(StopAtExit.server, 0) == 0, rest > 0 {
                usleep(10_000)
                rest -= 1
            }
            do { try FileManager.default.removeItem(atPath: StopAtExit.folder) } catch {
                print("could not remove \(StopAtExit.folder): \(error)")
            }
        }
    }
}
