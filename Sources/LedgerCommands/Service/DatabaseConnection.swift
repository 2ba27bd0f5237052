import LedgerStore
import Logging
import PQ

/// The database of a service, possibly in a private PostgreSQL.
struct DatabaseConnection: Sendable {
    let target: ConnectionTarget
    /// Whether the database is private.
    ///
    /// The schema of a private database is always migrated, without a flag.
    let isPrivate: Bool

    /// The name of the database in a private PostgreSQL.
    private static let privateName = "progress_ledger"

    /// Runs the body with the database.
    ///
    /// A private PostgreSQL is started before the body, kept running during it, and stopped after it.
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
                // This task ends with the body, before PostgreSQL is stopped.
                async let _ = postgres.keepRunning()
                result = try await body(DatabaseConnection(target: target, isPrivate: true))
            } catch {
                // Report the first failure to the user; only log a second one.
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
