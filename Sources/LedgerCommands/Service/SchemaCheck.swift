import LedgerStore
import Logging

/// The schema check before a service starts.
enum SchemaCheck {
    /// Checks the schema, after migrating it if that is allowed.
    ///
    /// - Parameter acceptsCitus: Whether Citus may distribute the events.
    /// - Throws: ``CommandFailure`` with the command to run if the schema does not match.
    static func run(
        _ database: DatabaseConnection, mayMigrate: Bool, acceptsCitus: Bool = true, wait: DatabaseWait, logger: Logger
    ) async throws {
        try await wait.retrying {
            if !acceptsCitus { try await refuseCitus(database, logger: logger) }
            try await run(database, mayMigrate: mayMigrate, logger: logger)
        }
    }

    private static func refuseCitus(_ database: DatabaseConnection, logger: Logger) async throws {
        guard try await Migrator(target: database.target, logger: logger).isDistributed() else { return }
        throw CommandFailure(
            .usage,
            """
            Citus distributes the events of \(database.target), which the tests of this version do not cover. Use \
            PostgreSQL without Citus, or give --citus if you have tested it yourself.
            """)
    }

    private static func run(_ database: DatabaseConnection, mayMigrate: Bool, logger: Logger) async throws {
        let migrator = Migrator(target: database.target, logger: logger)
        // A pooler that mixes up sessions must be named before it makes another check fail.
        try await migrator.checkSession()
        if mayMigrate || database.isPrivate {
            let outcome = try await migrator.migrateAndRepair()
            if !outcome.applied.isEmpty {
                logger.info("migrated the schema", metadata: ["schema.applied": "\(outcome.applied)"])
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
