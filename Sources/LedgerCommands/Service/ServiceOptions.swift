import ArgumentParser
import FoundationEssentials
import Glibc
import LedgerStore
import Logging

/// The options of all services: configuration file, database and log.
///
/// The services are `serve`, `project` and `migrate`.
struct ServiceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A file of KEY=VALUE lines, named like the environment variables, which override it.",
            valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "The database, as a libpq connection string: postgresql://… or 'host=… dbname=…'.",
            discussion: """
                Default: PROGRESS_LEDGER_DATABASE, else DATABASE_URL, else libpq's PGHOST, PGDATABASE, … if one of \
                them is set, else a private PostgreSQL. Do not put a password on the command line, where every user of \
                the machine can see it: use the environment or libpq's ~/.pgpass.
                """,
            valueName: "url"))
    var database: String?

    @Option(
        help: ArgumentHelp(
            "The folder of a private PostgreSQL, which is created if missing and runs while this command runs.",
            discussion: """
                Default: PROGRESS_LEDGER_DATA, else /var/lib/progress-ledger as root, else \
                $XDG_DATA_HOME/progress-ledger (~/.local/share/progress-ledger).
                """,
            valueName: "folder"))
    var data: String?

    @Option(help: "The log level: \(Logger.Level.names). Default: PROGRESS_LEDGER_LOG_LEVEL, else info.")
    var logLevel: String?

    @Option(help: "The log format: text or json, one line each. Default: PROGRESS_LEDGER_LOG_FORMAT, else text.")
    var logFormat: String?

    func configuration() throws(CommandFailure) -> Configuration {
        try Configuration(environment: ProcessInfo.processInfo.environment, filePath: config)
    }

    func databaseChoice(_ configuration: Configuration) throws(CommandFailure) -> DatabaseChoice {
        try DatabaseChoice.choose(
            databaseFlag: database, dataFlag: data, configuration: configuration, isRoot: geteuid() == 0)
    }

    /// Installs the log for the process and returns its first logger.
    func makeLogger(_ configuration: Configuration) throws(CommandFailure) -> Logger {
        let level = try configuration.read(.logLevel, flag: logLevel, named: "--log-level", else: Logger.Level.info) {
            Logger.Level(rawValue: $0)
        } expected: {
            Logger.Level.names
        }
        let format = try configuration.read(.logFormat, flag: logFormat, named: "--log-format", else: LogFormat.text) {
            LogFormat(rawValue: $0)
        } expected: {
            "text or json"
        }
        format.install(level: level)
        return Logger(label: "progress-ledger")
    }
}

/// The options of long-running services: time limits and the use of the database.
struct ServiceTimes: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The time to finish current work after a signal. Default: PROGRESS_LEDGER_DRAIN_SECONDS, else 30.",
            valueName: "seconds"))
    var drainSeconds: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The time to wait at start for the database; 0: none. Default: PROGRESS_LEDGER_WAIT_FOR_DATABASE, else 60.",
            valueName: "seconds"))
    var waitForDatabase: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The database connections, plus one for notifications. Default: PROGRESS_LEDGER_DATABASE_CONNECTIONS, else 21.",
            valueName: "count"))
    var databaseConnections: String?

    @Flag(
        help: """
            Serve although Citus distributes the events, which is not tested. Default: PROGRESS_LEDGER_CITUS (true or \
            false), else false.
            """)
    var citus = false

    func acceptsCitus(_ configuration: Configuration) throws(CommandFailure) -> Bool {
        try configuration.read(.citus, flag: citus ? "true" : nil, named: "--citus", else: false) {
            Bool($0)
        } expected: {
            "true or false"
        }
    }

    func storeSettings(_ configuration: Configuration) throws(CommandFailure) -> PostgresLedger.Settings {
        var settings = PostgresLedger.Settings()
        let connections = try configuration.read(
            .databaseConnections, flag: databaseConnections, named: "--database-connections",
            else: settings.connectionsTotal
        ) {
            Int($0).flatMap { (3...1_000).contains($0) ? $0 : nil }
        } expected: {
            "a whole number from 3 to 1000"
        }
        settings.share(connections: connections)
        return settings
    }

    func drain(_ configuration: Configuration) throws(CommandFailure) -> Duration {
        try configuration.seconds(.drainSeconds, flag: drainSeconds, named: "--drain-seconds", else: 30)
    }

    func databaseWait(_ configuration: Configuration) throws(CommandFailure) -> Duration {
        try configuration.seconds(.waitForDatabase, flag: waitForDatabase, named: "--wait-for-database", else: 60)
    }
}

extension Logger.Level {
    fileprivate static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

extension Configuration {
    /// The value of a setting: from the flag, else the configuration, else the default.
    ///
    /// - Throws: ``CommandFailure`` if the value is invalid, with its source and the expected format.
    func read<Value>(
        _ setting: Setting, flag: String?, named flagName: String, else defaultValue: Value,
        as parse: (String) -> Value?,
        expected: () -> String
    ) throws(CommandFailure) -> Value {
        guard let found = flag.map({ Found(value: $0, source: flagName) }) ?? find(setting) else { return defaultValue }
        guard let value = parse(found.value) else {
            throw CommandFailure(.usage, "\(found.source): invalid value '\(found.value)'. Expected \(expected()).")
        }
        return value
    }

    /// The value of a setting that is any text; nil without one.
    func readText(
        _ setting: Setting, flag: String?, named flagName: String, expected: String
    ) throws(CommandFailure) -> String? {
        try read(setting, flag: flag, named: flagName, else: nil) {
            $0.isEmpty ? nil : $0
        } expected: {
            expected
        }
    }

    func seconds(
        _ setting: Setting, flag: String?, named flagName: String, else defaultValue: Int
    ) throws(CommandFailure) -> Duration {
        let seconds = try read(setting, flag: flag, named: flagName, else: defaultValue) {
            Int($0).flatMap { (0...3_600).contains($0) ? $0 : nil }
        } expected: {
            "a whole number of seconds from 0 to 3600"
        }
        return .seconds(seconds)
    }
}
