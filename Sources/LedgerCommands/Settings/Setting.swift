/// What can be configured, and where. Flags come before the environment, the environment before the file.
enum Setting: String, CaseIterable, Sendable {
    case url = "PROGRESS_LEDGER_URL"
    case host = "PROGRESS_LEDGER_HOST"
    case port = "PROGRESS_LEDGER_PORT"
    case database = "PROGRESS_LEDGER_DATABASE"
    case data = "PROGRESS_LEDGER_DATA"
    case databaseConnections = "PROGRESS_LEDGER_DATABASE_CONNECTIONS"
    case logLevel = "PROGRESS_LEDGER_LOG_LEVEL"
    case logFormat = "PROGRESS_LEDGER_LOG_FORMAT"
    case drainSeconds = "PROGRESS_LEDGER_DRAIN_SECONDS"
    case waitForDatabase = "PROGRESS_LEDGER_WAIT_FOR_DATABASE"
    case watchersMax = "PROGRESS_LEDGER_WATCHERS_MAX"
    case config = "PROGRESS_LEDGER_CONFIG"
    case job = "PROGRESS_LEDGER_JOB"
    case task = "PROGRESS_LEDGER_TASK"
    case execution = "PROGRESS_LEDGER_EXECUTION"
    case attempt = "PROGRESS_LEDGER_ATTEMPT"
    case anchorKey = "PROGRESS_LEDGER_ANCHOR_KEY"
    case postgresBin = "PROGRESS_LEDGER_POSTGRES_BIN"
    case postgresUser = "PROGRESS_LEDGER_POSTGRES_USER"

    /// The name of the environment variable.
    var variable: String { rawValue }

    /// Whether it may stand in the file: what one service is, not what one task of a job is, and not what other
    /// parts read from the environment themselves.
    var isAllowedInFile: Bool {
        switch self {
        case .host, .port, .database, .data, .databaseConnections, .logLevel, .logFormat, .drainSeconds,
            .waitForDatabase,
            .watchersMax:
            true
        case .url, .config, .job, .task, .execution, .attempt, .anchorKey, .postgresBin, .postgresUser: false
        }
    }
}
