import ArgumentParser
import LedgerHTTP
import LedgerNotifications
import LedgerProjection
import LedgerStore
import Logging
import PQ
import ServiceLifecycle

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve the ledger over HTTP, with a projection worker in the same process.",
        discussion: """
            If no database is configured, the server creates a private PostgreSQL in a data folder, runs it on a Unix \
            socket and stops it at exit. When it is ready it prints one line to standard output: 'listening on \
            http://HOST:PORT'. SIGTERM and Ctrl-C let it finish its current work and exit with code 0; a second signal \
            at least one second later stops it at once.
            """)

    @Option(help: "The address to listen on. Default: PROGRESS_LEDGER_HOST, else 127.0.0.1.")
    var host: String?

    @Option(parsing: .unconditional, help: "The port; 0 picks a free one. Default: PROGRESS_LEDGER_PORT, else 8080.")
    var port: String?

    @Option(
        help: ArgumentHelp(
            "A name under which the server is reached, besides localhost and loopback addresses; may be repeated. Requests "
                + "for other hosts get 421. Default: PROGRESS_LEDGER_ALLOWED_HOSTS, separated by commas.",
            valueName: "host"))
    var allowedHost: [String] = []

    @Option(
        help: ArgumentHelp(
            "The origin of a web site whose pages may use this server (CORS), such as https://wiki.example.com; may be "
                + "repeated. Default: PROGRESS_LEDGER_CORS_ORIGINS, separated by commas.",
            valueName: "origin"))
    var corsOrigin: [String] = []

    @Option(
        help: ArgumentHelp(
            "The path below which a reverse proxy serves the pages and routes, such as /ledger. Default: "
                + "PROGRESS_LEDGER_BASE_PATH, else none.",
            valueName: "path"))
    var basePath: String?

    @Option(
        help: ArgumentHelp(
            "The address of a reverse proxy, or a network such as 10.0.0.0/8, whose X-Forwarded-Prefix and "
                + "X-Forwarded-Proto are believed; may be repeated. Default: PROGRESS_LEDGER_TRUSTED_PROXIES, separated by "
                + "commas, else none.",
            valueName: "address"))
    var trustedProxy: [String] = []

    @Option(
        help: ArgumentHelp(
            "Serve https with the certificate in this PEM file, which is read again when it changes. Default: "
                + "PROGRESS_LEDGER_TLS_CERTIFICATE, else plain http.",
            valueName: "file"))
    var tlsCertificate: String?

    @Option(
        help: ArgumentHelp(
            "The PEM file with the private key of --tls-certificate. Default: PROGRESS_LEDGER_TLS_KEY.",
            valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "Require client certificates of the authorities in this PEM file. Default: PROGRESS_LEDGER_TLS_CLIENT_CA, "
                + "else none.",
            valueName: "file"))
    var tlsClientCA: String?

    @OptionGroup var jwt: JWTOptions

    @OptionGroup var notifications: NotificationOptions

    @Flag(help: "Let Tilebox's SDK read jobs. Default: PROGRESS_LEDGER_TILEBOX (true or false), else false.")
    var tilebox = false

    @Flag(help: "Run no projection worker; use 'progress-ledger project' for that.")
    var noProjection = false

    @Flag(help: "Migrate the schema at start. A private database is always migrated.")
    var migrate = false

    @Flag(
        help: """
            Allow non-loopback addresses although the ledger has no token: every client can read and write everything.
            """)
    var insecureNoAuthentication = false

    @OptionGroup var times: ServiceTimes

    @Option(
        help: ArgumentHelp(
            "A standby of the database that serves time travel, exports, verification and the events of ended jobs, as a "
                + "connection string. Default: PROGRESS_LEDGER_DATABASE_READ, else none.",
            valueName: "url"))
    var databaseRead: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The most concurrent watchers; others get 503. Default: PROGRESS_LEDGER_WATCHERS_MAX, else \(Self.watchersMaxDefault).",
            valueName: "number"))
    var watchersMax: String?

    @OptionGroup var shards: ShardOptions

    @OptionGroup var service: ServiceOptions

    private static let watchersMaxDefault = ServerSettings().watchersMax

    func run() async throws {
        let configuration = try service.configuration()
        let address = try listenAddress(configuration)
        let shards = try shards.file(configuration)
        let choice = try service.databaseChoice(configuration)
        let drain = try times.drain(configuration)
        let wait = try times.databaseWait(configuration)
        var store = try times.storeSettings(configuration)
        store.replica = try replica(configuration)
        guard shards == nil || store.replica == nil else {
            throw CommandFailure(
                .usage, "--database-read is for a ledger with one database, and --shards names several.")
        }
        let acceptsCitus = try times.acceptsCitus(configuration)
        var settings = ServerSettings()
        settings.host = address.host
        settings.port = address.port
        settings.allowedHosts = try allowedHosts(configuration)
        settings.corsOrigins = try corsOrigins(configuration)
        settings.basePath = try basePath(configuration)
        settings.trustedProxies = try trustedProxies(configuration)
        settings.tls = try tlsFiles(configuration)
        settings.jwt = try jwt.settings(configuration)
        settings.watchersMax = try watchersMax(configuration)
        settings.servesTilebox = try servesTilebox(configuration)
        let notifications = try notifications.settings(configuration)
        settings.notificationTargets = notifications.targets
        try ListenCheck.check(address)
        let (isOpenToAll, acceptsJWT) = (insecureNoAuthentication, settings.jwt != nil)
        // A new database has no token, so it need not be created to know that.
        if shards == nil, case .isPrivate(let folder) = choice, !DataFolder.containsDatabase(folder) {
            try address.check(isProtected: isOpenToAll || acceptsJWT)
        }
        let logger = try service.makeLogger(configuration)
        try settings.limitConnections(openFilesMax: OpenFiles.allowAsManyAsPossible(), logger: logger)
        settings.limitWatchers(logger: logger)
        let checks = LedgerBackend.Checks(
            mayMigrate: migrate, acceptsCitus: acceptsCitus, wait: DatabaseWait(limit: wait, logger: logger))
        let (projects, ready, ledgerSettings) = (!noProjection, settings, store)
        try await ServiceRunner(drain: drain, logger: logger).handlingSignals { runner in
            @Sendable func run(_ backend: LedgerBackend) async throws {
                try await backend.loadTokens()
                try address.check(isProtected: isOpenToAll || acceptsJWT || backend.ledger.tokens.isRequired)
                try await runner.run(
                    Self.services(
                        of: backend, projects: projects, notifications, settings: ready, logger: logger))
            }
            if let shards {
                return try await run(try await LedgerBackend.open(shards, ledgerSettings, checks, logger: logger))
            }
            try await DatabaseConnection.with(choice, logger: logger) { database in
                try await run(try await LedgerBackend.open(database, ledgerSettings, checks, logger: logger))
            }
        }
    }

    private func listenAddress(_ configuration: Configuration) throws(CommandFailure) -> ListenAddress {
        let host = try configuration.read(.host, flag: host, named: "--host", else: "127.0.0.1") {
            $0.isEmpty ? nil : $0
        } expected: {
            "an address of this machine"
        }
        let port = try configuration.read(.port, flag: port, named: "--port", else: 8080) {
            UInt16($0).map(Int.init)
        } expected: {
            "a number from 0 to 65535"
        }
        try ListenCheck.checkHost(host)
        return ListenAddress(host: host, port: port)
    }

    /// The standby that serves reads.
    private func replica(_ configuration: Configuration) throws(CommandFailure) -> ConnectionTarget? {
        let text = try configuration.readText(
            .databaseRead, flag: databaseRead, named: "--database-read", expected: "a connection string")
        guard let text else { return nil }
        try DatabaseURL.check(text)
        let target: ConnectionTarget
        do throws(PQError) { target = try ConnectionTarget(text) } catch {
            throw CommandFailure(.usage, "--database-read: \(error.message)")
        }
        // Each connection could reach another standby, and one of them may lag.
        guard !["host", "hostaddr", "port"].contains(where: { target[$0]?.contains(",") ?? false }) else {
            throw CommandFailure(.usage, "--database-read names several servers. Name one standby.")
        }
        return target
    }

    private func allowedHosts(_ configuration: Configuration) throws(CommandFailure) -> [String] {
        let flag = allowedHost.isEmpty ? nil : allowedHost.joined(separator: ",")
        return try configuration.read(.allowedHosts, flag: flag, named: "--allowed-host", else: []) { text in
            let hosts = text.split(separator: ",").map { $0.filter { $0 != " " } }
            // A port or a scheme would never match.
            // An IPv6 address has several colons.
            return hosts.allSatisfy { host in
                !host.isEmpty && !host.contains("/") && !host.contains("]:") && host.count(where: { $0 == ":" }) != 1
            } ? hosts : nil
        } expected: {
            "host names without scheme and port, such as ledger.example.com"
        }
    }

    private func corsOrigins(_ configuration: Configuration) throws(CommandFailure) -> [String] {
        let flag = corsOrigin.isEmpty ? nil : corsOrigin.joined(separator: ",")
        return try configuration.read(.corsOrigins, flag: flag, named: "--cors-origin", else: []) { text in
            let origins = text.split(separator: ",").map { $0.filter { $0 != " " } }
            return origins.allSatisfy(ServerSettings.isOrigin) ? origins : nil
        } expected: {
            "origins of web sites without a path, such as https://wiki.example.com"
        }
    }

    private func trustedProxies(_ configuration: Configuration) throws(CommandFailure) -> TrustedProxies {
        let flag = trustedProxy.isEmpty ? nil : trustedProxy.joined(separator: ",")
        return try configuration.read(
            .trustedProxies, flag: flag, named: "--trusted-proxy", else: TrustedProxies()
        ) { text in
            TrustedProxies(text.split(separator: ",").map { $0.filter { $0 != " " } })
        } expected: {
            "IP addresses or networks, such as 10.0.0.1 or 10.0.0.0/8"
        }
    }

    private func tlsFiles(_ configuration: Configuration) throws(CommandFailure) -> ServerSettings.TLSFiles? {
        func path(_ setting: Setting, _ flag: String?, _ name: String) throws(CommandFailure) -> String? {
            try configuration.readText(setting, flag: flag, named: name, expected: "the path of a PEM file")
        }
        let certificate = try path(.tlsCertificate, tlsCertificate, "--tls-certificate")
        let key = try path(.tlsKey, tlsKey, "--tls-key")
        let clientCA = try path(.tlsClientCA, tlsClientCA, "--tls-client-ca")
        guard let certificate, let key else {
            guard certificate == nil, key == nil, clientCA == nil else {
                throw CommandFailure(.usage, "TLS needs both --tls-certificate and --tls-key.")
            }
            return nil
        }
        let files = ServerSettings.TLSFiles(certificate: certificate, key: key, clientCA: clientCA)
        do { try files.check() } catch { throw CommandFailure(.usage, error.description) }
        return files
    }

    private func basePath(_ configuration: Configuration) throws(CommandFailure) -> String {
        try configuration.read(.basePath, flag: basePath, named: "--base-path", else: "") {
            ServerSettings.basePath($0)
        } expected: {
            "a path of at most eight plain segments, such as /ledger"
        }
    }

    private func servesTilebox(_ configuration: Configuration) throws(CommandFailure) -> Bool {
        try configuration.read(.tilebox, flag: tilebox ? "true" : nil, named: "--tilebox", else: false) {
            Bool($0)
        } expected: {
            "true or false"
        }
    }

    private func watchersMax(_ configuration: Configuration) throws(CommandFailure) -> Int {
        try configuration.read(
            .watchersMax, flag: watchersMax, named: "--watchers-max", else: Self.watchersMaxDefault
        ) {
            Int($0).flatMap { (1...ServerSettings().connectionsMax).contains($0) ? $0 : nil }
        } expected: {
            "a whole number from 1 to \(ServerSettings().connectionsMax)"
        }
    }

    /// The services in the order in which they start.
    ///
    /// They stop in reverse order, so that no request loses its ledger.
    private static func services(
        of backend: LedgerBackend, projects: Bool, _ notifications: NotificationSettings, settings: ServerSettings,
        logger: Logger
    ) -> [any Service] {
        var services: [any Service] = [backend.ledger]
        if projects { services += workers(of: backend, notifications, logger: logger) }
        services.append(
            LedgerServer(
                service: backend.ledger, settings: settings, logger: logger.labeled("http"),
                tracer: InstalledTracer.find()
            ) { host, port in
                let url = ListenAddress.url(host: host, port: port, isSecure: settings.tls != nil)
                Console.standard.print("listening on \(url)")
            })
        return services
    }

    /// The services that fold, replay and notify, for each database.
    static func workers(
        of backend: LedgerBackend, _ notifications: NotificationSettings, logger: Logger
    ) -> [any Service] {
        backend.databases.flatMap { shard, ledger -> [any Service] in
            func labeled(_ part: String) -> Logger {
                var logger = logger.labeled(part)
                if let shard { logger[metadataKey: "shard"] = "\(shard)" }
                return logger
            }
            return [
                ProjectionWorker(ledger: ledger, logger: labeled("projection")),
                ReplayRunner(ledger: ledger, logger: labeled("replay")),
                NotificationSender(ledger: ledger, settings: notifications, logger: labeled("notifications")),
            ]
        }
    }
}

extension ServerSettings {
    /// Open files that are not client connections: the database's, the log and others.
    private static let otherFiles = 256

    /// The fewest open files with which a server starts.
    static let openFilesMin = otherFiles + refusedConnectionsMax + connectionsMin

    /// Limits the connections to the available open files.
    ///
    /// A server without a free file can neither accept nor refuse a connection.
    ///
    /// - Throws: ``CommandFailure`` if there are too few files for a useful server.
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
            "reduced the connection limit because the system allows few open files; raise the hard limit (ulimit -Hn)",
            metadata: ["files.max": "\(openFilesMax)", "connections.max": "\(connectionsMax)"])
    }

    /// Limits watchers to three quarters of the connections.
    ///
    /// The others remain for requests.
    mutating func limitWatchers(logger: Logger) {
        let limit = max(1, connectionsMax / 4 * 3)
        guard limit < watchersMax else { return }
        watchersMax = limit
        logger.warning(
            "reduced the watcher limit to keep connections for other requests",
            metadata: ["watchers.max": "\(watchersMax)", "connections.max": "\(connectionsMax)"])
    }
}

extension Logger {
    /// A logger for one part of the process.
    func labeled(_ part: String) -> Logger {
        Logger(label: "\(label).\(part)")
    }
}
