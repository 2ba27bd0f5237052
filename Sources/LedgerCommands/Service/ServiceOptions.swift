import ArgumentParser
import FoundationEssentials
import Glibc
import LedgerStore
import Logging

/// What `serve`, `project` and `migrate` have in common: the configuration file, the database and the log.
struct ServiceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A file of KEY=VALUE lines with the same names as the environment variables, which come before it.",
            valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp(
            "The database: postgresql://… or 'host=… dbname=…', as libpq has them.",
            discussion: """
                Else PROGRESS_LEDGER_DATABASE, DATABASE_URL, or libpq's PGHOST, PGDATABASE, … where one of them is \
                set. Where none is: a private PostgreSQL. A password does not belong on a command line, where every \
                user of the machine sees it: use the environment, or libpq's ~/.pgpass.
                """,
            valueName: "url"))
    var database: String?

    @Option(
        help: ArgumentHelp(
            "The folder of a private PostgreSQL: made if it is not there, started and stopped with this command.",
            discussion: """
                Else PROGRESS_LEDGER_DATA; else /var/lib/progress-ledger as root, and $XDG_DATA_HOME/progress-ledger \
                (~/.local/share/progress-ledger) otherwise.
                """,
            valueName: "folder"))
    var data: String?

    @Option(help: "What is logged to standard error: \(Logger.Level.names). PROGRESS_LEDGER_LOG_LEVEL; info.")
    var logLevel: String?

    @Option(help: "How: text or json, a line each. PROGRESS_LEDGER_LOG_FORMAT; text.")
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
        } wanted: {
            Logger.Level.names
        }
        let format = try configuration.read(.logFormat, flag: logFormat, named: "--log-format", else: LogFormat.text) {
            LogFormat(rawValue: $0)
        } wanted: {
            "text or json"
        }
        format.install(level: level)
        return Logger(label: "progress-ledger")
    }
}

/// How a service begins and ends.
struct ServiceTimes: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long it may finish what it is doing when it is told to stop. PROGRESS_LEDGER_DRAIN_SECONDS; 30.",
            valueName: "seconds"))
    var drainSeconds: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "How long to wait at the start for a database that is away or recovers (0: not at all). PROGRESS_LEDGER_WAIT_FOR_DATABASE; 60.",
            valueName: "seconds"))
    var waitForDatabase: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The most connections to PostgreSQL, beside one for notifications. PROGRESS_LEDGER_DATABASE_CONNECTIONS; 21.",
            valueName: "count"))
    var databaseConnections: String?

    func storeSettings(_ configuration: Configuration) throws(CommandFailure) -> PostgresLedger.Settings {
        var settings = PostgresLedger.Settings()
        let connections = try configuration.read(
            .databaseConnections, flag: databaseConnections, named: "--database-connections",
            else: settings.connectionsTotal
        ) {
            Int($0).flatMap { (3...1_000).contains($0) ? $0 : nil }
        } wanted: {
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
    /// A setting's value: the flag's, or else what is configured, or else the usual one.
    ///
    /// - Throws: Where the value cannot be read, naming where it was given and what is wanted.
    func read<Value>(
        _ setting: Setting, flag: String?, named flagName: String, else usual: Value, as parse: (String) -> Value?,
        wanted: () -> String
    ) throws(CommandFailure) -> Value {
        guard let found = flag.map({ Found(value: $0, source: flagName) }) ?? find(setting) else { return usual }
        guard let value = parse(found.value) else {
            throw CommandFailure(.usage, "\(found.source): invalid value '\(found.value)'. Expected \(wanted()).")
        }
        return value
    }

    func seconds(
        _ setting: Setting, flag: String?, named flagName: String, else usual: Int
    ) throws(CommandFailure) -> Duration {
        let seconds = try read(setting, flag: flag, named: flagName, else: usual) {
            Int($0).flatMap { (0...3_600).contains($0) ? $0 : nil }
        } wanted: {
            "a whole number of seconds from 0 to 3600"
        }
        return .seconds(seconds)
    }
}
