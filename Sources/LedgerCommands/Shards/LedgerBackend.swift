import LedgerStore
import Logging
import ServiceLifecycle

/// The ledger of a service: one database, or several shards.
enum LedgerBackend {
    case single(PostgresLedger)
    case divided(ShardedLedger, shards: [Int: PostgresLedger])

    /// The ledger, as routes and commands use it.
    var ledger: any LedgerService & Service {
        switch self {
        case .single(let ledger): ledger
        case .divided(let ledger, _): ledger
        }
    }

    /// The databases, each of which needs its own workers.
    ///
    /// The number of the shard is nil in a ledger with one database.
    var databases: [(shard: Int?, ledger: PostgresLedger)] {
        switch self {
        case .single(let ledger): [(nil, ledger)]
        case .divided(_, let shards): shards.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        }
    }

    /// Reads the tokens into memory, before the server accepts requests.
    func loadTokens() async throws {
        switch self {
        case .single(let ledger): try await ledger.loadTokens()
        case .divided(let ledger, _): try await ledger.loadTokens()
        }
    }

    /// The checks before a service starts.
    struct Checks: Sendable {
        var mayMigrate = false
        var acceptsCitus = false
        let wait: DatabaseWait
    }

    /// Opens the ledger in one database.
    static func open(
        _ database: DatabaseConnection, _ settings: PostgresLedger.Settings, _ checks: Checks, logger: Logger
    ) async throws -> LedgerBackend {
        try await SchemaCheck.run(
            database, mayMigrate: checks.mayMigrate, acceptsCitus: checks.acceptsCitus, wait: checks.wait,
            logger: logger)
        let ledger = PostgresLedger(
            target: database.target, settings: settings, logger: logger.labeled("store"), tracer: InstalledTracer.find()
        )
        if let number = try await ledger.shardNumber() {
            throw CommandFailure(
                .usage,
                "\(database.target) is shard \(number) of a divided ledger. Give the file of all its shards with --shards."
            )
        }
        return .single(ledger)
    }

    /// Opens a divided ledger.
    ///
    /// A shard that is away does not keep the service from starting, except shard 0, which has the tokens.
    static func open(
        _ file: ShardFile, _ settings: PostgresLedger.Settings, _ checks: Checks, logger: Logger
    ) async throws -> LedgerBackend {
        for (number, target) in file.targets.sorted(by: { $0.key < $1.key }) {
            let database = DatabaseConnection(target: target, isPrivate: false)
            do {
                try await SchemaCheck.run(
                    database, mayMigrate: checks.mayMigrate, acceptsCitus: checks.acceptsCitus, wait: checks.wait,
                    logger: logger)
            } catch {
                guard number != 0, DatabaseWait.isTransient(error) else { throw error }
                logger.error(
                    "a shard is away; its jobs are unavailable until it is back",
                    metadata: ["shard": "\(number)", "error": "\(error)"])
            }
        }
        let shards = PostgresLedger.shards(
            file.targets, settings: settings, logger: logger.labeled("store"), tracer: InstalledTracer.find())
        let ledger = try await ShardedLedger.open(shards, logger: logger.labeled("shards"))
        return .divided(ledger, shards: shards)
    }
}
