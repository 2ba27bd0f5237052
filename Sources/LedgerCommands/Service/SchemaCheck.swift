import LedgerStore
import Logging

/// Lets a service begin only on a database whose schema is the one of this version.
enum SchemaCheck {
    /// Checks the schema, and brings it up to date if that is wanted.
    ///
    /// - Throws: ``CommandFailure`` if the schema is another one, saying what to run.
    static func pass(_ database: DatabaseConnection, mayMigrate: Bool, wait: DatabaseWait, logger: Logger) async throws
    {
        try await wait.whileAway { try await pass(database, mayMigrate: mayMigrate, logger: logger) }
    }

    private static func pass(_ database: DatabaseConnection, mayMigrate: Bool, logger: Logger) async throws {
        let migrator = Migrator(target: database.target, logger: logger)
        if mayMigrate || database.isPrivate {
            let outcome = try await migrator.bringUp()
            if !outcome.applied.isEmpty {
                logger.info("brought the schema up to date", metadata: ["schema.applied": "\(outcome.applied)"])
            }
            for fault in outcome.repaired {
                logger.notice("restored a guarantee of the ledger", metadata: ["guarantee.fault": "\(fault)"])
            }
            for fault in outcome.faults {
                logger.error("the ledger is not protected", metadata: ["guarantee.fault": "\(fault)"])
            }
        }
        let status = try await migrator.check()
        guard case .current = status else {
            throw CommandFailure(.schema, "This version cannot work on \(database.target): \(status.explanation).")
        }
        try await PostgresLedger.checkSession(of: database.target, logger: logger)
    }
}
