import ArgumentParser
import LedgerNotifications
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

    @OptionGroup var shards: ShardOptions

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        let configuration = try service.configuration()
        let shards = try shards.file(configuration)
        let choice = try service.databaseChoice(configuration)
        let drain = try times.drain(configuration)
        let wait = try times.databaseWait(configuration)
        let store = try times.storeSettings(configuration)
        let acceptsCitus = try times.acceptsCitus(configuration)
        let notifications = try notifications.settings(configuration)
        let logger = try service.makeLogger(configuration)
        let checks = LedgerBackend.Checks(
            acceptsCitus: acceptsCitus, wait: DatabaseWait(limit: wait, logger: logger))
        try await ServiceRunner(drain: drain, logger: logger).handlingSignals { runner in
            @Sendable func run(_ backend: LedgerBackend) async throws {
                try await runner.run(
                    [backend.ledger] + ServeCommand.workers(of: backend, notifications, logger: logger))
            }
            if let shards { return try await run(try await LedgerBackend.open(shards, store, checks, logger: logger)) }
            try await DatabaseConnection.with(choice, logger: logger) { database in
                try await run(try await LedgerBackend.open(database, store, checks, logger: logger))
            }
        }
    }
}
