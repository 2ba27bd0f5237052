import ArgumentParser
import LedgerProjection
import LedgerStore

struct ProjectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "project",
        abstract: "Run a projection worker alone: it brings snapshots up to the events, and works on replays.",
        discussion: """
            Any number of workers may run beside each other and beside those in 'serve', on any number of machines: \
            they share the work, and one that is killed leaves nothing half done. SIGTERM and Ctrl-C let it finish \
            and end it with exit code 0.
            """)

    @OptionGroup var times: ServiceTimes

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        let configuration = try service.configuration()
        let choice = try service.databaseChoice(configuration)
        let drain = try times.drain(configuration)
        let wait = try times.databaseWait(configuration)
        let store = try times.storeSettings(configuration)
        let logger = try service.makeLogger(configuration)
        try await ServiceRunner(drain: drain, logger: logger).obeyingSignals { runner in
            try await DatabaseConnection.with(choice, logger: logger) { database in
                try await SchemaCheck.pass(
                    database, mayMigrate: false, wait: DatabaseWait(limit: wait, logger: logger), logger: logger)
                let ledger = PostgresLedger(
                    target: database.target, settings: store, logger: logger.labeled("store"))
                let worker = ProjectionWorker(ledger: ledger, logger: logger.labeled("projection"))
                let replays = ReplayRunner(ledger: ledger, logger: logger.labeled("replay"))
                try await runner.run([ledger, worker, replays])
            }
        }
    }
}
