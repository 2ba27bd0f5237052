import ArgumentParser
import LedgerHTTP
import LedgerProjection
import LedgerStore
import Logging
import ServiceLifecycle

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve the ledger over HTTP, with a projection worker in the same process.",
        discussion: """
            Where no database is configured, it finds PostgreSQL's programs, makes a private one in a data folder, \
            runs it on a Unix socket and stops it with itself. Prints one line, 'listening on http://HOST:PORT', to \
            standard output once it can answer. SIGTERM and Ctrl-C let it finish what it is doing and end it with \
            exit code 0; a second one, a second later or more, stops it at once.
            """)

    @Option(help: "The address to listen on. PROGRESS_LEDGER_HOST; 127.0.0.1.")
    var host: String?

    @Option(parsing: .unconditional, help: "The port to listen on; 0 picks a free one. PROGRESS_LEDGER_PORT; 8080.")
    var port: String?

    @Flag(help: "Leave the projection to 'progress-ledger project'.")
    var noProjection = false

    @Flag(help: "Bring the schema of a given database up to date first. A private one always is.")
    var migrate = false

    @Flag(help: "Listen on addresses that other machines reach, though whoever reaches it may read and write all.")
    var insecureNoAuthentication = false

    @OptionGroup var times: ServiceTimes

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Watchers at once; further ones are told to come later. PROGRESS_LEDGER_WATCHERS_MAX; \(Self.watchersMaxUsual).",
            valueName: "number"))
    var watchersMax: String?

    @OptionGroup var service: ServiceOptions

    private static let watchersMaxUsual = ServerSettings().watchersMax

    func run() async throws {
        let configuration = try service.configuration()
        let address = try listenAddress(configuration)
        let choice = try service.databaseChoice(configuration)
        let drain = try times.drain(configuration)
        let wait = try times.databaseWait(configuration)
        let store = try times.storeSettings(configuration)
        var settings = ServerSettings()
        settings.host = address.host
        settings.port = address.port
        settings.watchersMax = try watchersMax(configuration)
        try ListenCheck.check(address)
        let logger = try service.makeLogger(configuration)
        try settings.limitConnections(openFilesMax: OpenFiles.allowAsManyAsPossible(), logger: logger)
        settings.limitWatchers(logger: logger)
        let (mayMigrate, projects, ready) = (migrate, !noProjection, settings)
        try await ServiceRunner(drain: drain, logger: logger).obeyingSignals { runner in
            try await DatabaseConnection.with(choice, logger: logger) { database in
                try await SchemaCheck.pass(
                    database, mayMigrate: mayMigrate, wait: DatabaseWait(limit: wait, logger: logger), logger: logger)
                let services = try await Self.services(
                    on: database, projects: projects, store: store, settings: ready, logger: logger)
                try await runner.run(services)
            }
        }
    }

    private func listenAddress(_ configuration: Configuration) throws(CommandFailure) -> ListenAddress {
        let host = try configuration.read(.host, flag: host, named: "--host", else: "127.0.0.1") {
            $0.isEmpty ? nil : $0
        } wanted: {
            "an address of this machine"
        }
        let port = try configuration.read(.port, flag: port, named: "--port", else: 8080) {
            UInt16($0).map(Int.init)
        } wanted: {
            "a number from 0 to 65535"
        }
        try ListenCheck.checkHost(host)
        return try ListenAddress(host: host, port: port, isOpenToAll: insecureNoAuthentication)
    }

    private func watchersMax(_ configuration: Configuration) throws(CommandFailure) -> Int {
        try configuration.read(
            .watchersMax, flag: watchersMax, named: "--watchers-max", else: Self.watchersMaxUsual
        ) {
            Int($0).flatMap { (1...ServerSettings().connectionsMax).contains($0) ? $0 : nil }
        } wanted: {
            "a whole number from 1 to \(ServerSettings().connectionsMax)"
        }
    }

    /// The services in the order in which they start; they stop in reverse, so that no request loses its ledger.
    private static func services(
        on database: DatabaseConnection, projects: Bool, store: PostgresLedger.Settings, settings: ServerSettings,
        logger: Logger
    ) async throws -> [any Service] {
        let ledger = PostgresLedger(target: database.target, settings: store, logger: logger.labeled("store"))
        var services: [any Service] = [ledger]
        if projects {
            services += [
                ProjectionWorker(ledger: ledger, logger: logger.labeled("projection")),
                ReplayRunner(ledger: ledger, logger: logger.labeled("replay")),
            ]
        }
        services.append(
            LedgerServer(service: ledger, settings: settings, logger: logger.labeled("http")) { host, port in
                Console.standard.print("listening on \(ListenAddress.url(host: host, port: port))")
            })
        return services
    }
}

extension ServerSettings {
    /// Open files that are not clients' connections: those to the database, the private one's, the log.
    private static let otherFiles = 256

    /// The fewest open files with which a server starts.
    static let openFilesMin = otherFiles + refusedConnectionsMax + connectionsMin

    /// Takes no more connections than there may be files: a server that has no file left for one can neither take it nor
    /// send it away.
    ///
    /// - Throws: ``CommandFailure`` if there are too few files for a server that is of use.
    mutating func limitConnections(openFilesMax: Int, logger: Logger) throws(CommandFailure) {
        guard openFilesMax >= Self.openFilesMin else {
            throw CommandFailure(
                .failed,
                "The system allows \(openFilesMax) open files, and a server needs at least \(Self.openFilesMin): "
                    + "\(Self.otherFiles) of its own and \(Self.refusedConnectionsMax + Self.connectionsMin) for clients. "
                    + "Raise the limit (ulimit -n, LimitNOFILE=).")
        }
        let room = openFilesMax - Self.otherFiles - Self.refusedConnectionsMax
        guard room < connectionsMax else { return }
        connectionsMax = room
        logger.warning(
            "the system allows few open files, so fewer connections are taken at once; raise the hard limit (ulimit -Hn)",
            metadata: ["files.max": "\(openFilesMax)", "connections.max": "\(connectionsMax)"])
    }

    /// Takes no more watchers than leave a quarter of the connections for everything else.
    mutating func limitWatchers(logger: Logger) {
        let most = max(1, connectionsMax / 4 * 3)
        guard most < watchersMax else { return }
        watchersMax = most
        logger.warning(
            "fewer may watch at once than was asked for, so that connections are left for others",
            metadata: ["watchers.max": "\(watchersMax)", "connections.max": "\(connectionsMax)"])
    }
}

extension Logger {
    /// A logger of one part of the process.
    func labeled(_ part: String) -> Logger {
        Logger(label: "\(label).\(part)")
    }
}
