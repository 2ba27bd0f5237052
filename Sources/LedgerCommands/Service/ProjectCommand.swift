import ArgumentParser
import LedgerNotifications
import LedgerProjection
import LedgerStore

struct ProjectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "project",
        abstract:
            "Run a projection worker, which keeps snapshots up to date, works on replays and sends notifications.",
        discussion: """
            Any number of workers can run, on any number of machines, beside each other and beside the workers in \
            'serve'. They share the work, and a worker that is killed leaves no partial work. SIGTERM and Ctrl-C let \
            the worker finish its current work and exit with code 0.
            """)

    @OptionGroup var notifications: NotificationOptions

    @OptionGroup var times: ServiceTimes

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        let configuration = try service.configuration()
        let choice = try service.databaseChoice(configuration)
        let drain = try times.drain(configuration)
        let wait = try times.databaseWait(configuration)
        let store = try times.storeSettings(configuration)
        let acceptsCitus = try times.acceptsCitus(configuration)
        let notifications = try notifications.settings(configuration)
        let logger = try service.makeLogger(configuration)
        try await ServiceRunner(drain: drain, logger: logger).handlingSignals { runner in
            try await DatabaseConnection.with(choice, logger: logger) { database in
                try await SchemaCheck.run(
                    database, mayMigrate: false, acceptsCitus: acceptsCitus,
                    wait: DatabaseWait(limit: wait, logger: logger), logger: logger)
                let ledger = PostgresLedger(
                    target: database.target, settings: store, logger: logger.labeled("store"),
                    tracer: InstalledTracer.find())
                let worker = ProjectionWorker(ledger: ledger, logger: logger.labeled("projection"))
                let replays = ReplayRunner(ledger: ledger, logger: logger.labeled("replay"))
                let sender = NotificationSender(
                    ledger: ledger, settings: notifications, logger: logger.labeled("notifications"))
                try await runner.run([ledger, worker, replays, sender])
            }
        }
    }
}
