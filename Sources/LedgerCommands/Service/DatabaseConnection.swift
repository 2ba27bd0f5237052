import LedgerStore
import Logging
import PQ

/// The database that a service works on, and the private PostgreSQL behind it where there is one.
struct DatabaseConnection: Sendable {
    let target: ConnectionTarget
    /// Whether the database is ours alone: then its schema is brought up to date without being asked.
    let isPrivate: Bool

    /// The name of the database in a private PostgreSQL.
    private static let privateName = "progress_ledger"

    /// Runs the body with the database; a private PostgreSQL is kept running as long as it does and is stopped with it.
    static func with<Result>(
        _ choice: DatabaseChoice, logger: Logger, _ body: (DatabaseConnection) async throws -> Result
    ) async throws -> Result {
        switch choice {
        case .given(let connectionString):
            try DatabaseURL.check(connectionString)
            return try await body(DatabaseConnection(target: try ConnectionTarget(connectionString), isPrivate: false))
        case .isPrivate(let folder):
            try DataFolder.check(folder)
            let postgres = try await LocalPostgres.start(LocalPostgres.Settings(dataFolder: folder), logger: logger)
            let result: Result
            do {
                try await postgres.ensureDatabase(privateName)
                let target = postgres.target.setting("dbname", privateName)
                // Ends with the body, before the server is stopped.
                async let _ = postgres.keepRunning()
                result = try await body(DatabaseConnection(target: target, isPrivate: true))
            } catch {
                // What failed first is what its user must hear of.
                do { try await postgres.stop() } catch let second {
                    logger.error("could not stop the private PostgreSQL", metadata: ["error": "\(second)"])
                }
                throw error
            }
            try await postgres.stop()
            return result
        }
    }
}
