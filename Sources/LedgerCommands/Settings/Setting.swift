/// The settings that can be configured.
///
/// Flags override the environment, and the environment overrides the file.
enum Setting: String, CaseIterable, Sendable {
    case url = "PROGRESS_LEDGER_URL"
    case host = "PROGRESS_LEDGER_HOST"
    case port = "PROGRESS_LEDGER_PORT"
    case allowedHosts = "PROGRESS_LEDGER_ALLOWED_HOSTS"
    case corsOrigins = "PROGRESS_LEDGER_CORS_ORIGINS"
    case basePath = "PROGRESS_LEDGER_BASE_PATH"
    case trustedProxies = "PROGRESS_LEDGER_TRUSTED_PROXIES"
    case tlsCertificate = "PROGRESS_LEDGER_TLS_CERTIFICATE"
    case tlsKey = "PROGRESS_LEDGER_TLS_KEY"
    case tlsClientCA = "PROGRESS_LEDGER_TLS_CLIENT_CA"
    case jwks = "PROGRESS_LEDGER_JWKS"
    case jwtIssuer = "PROGRESS_LEDGER_JWT_ISSUER"
    case jwtAudience = "PROGRESS_LEDGER_JWT_AUDIENCE"
    case jwtMap = "PROGRESS_LEDGER_JWT_MAP"
    case tilebox = "PROGRESS_LEDGER_TILEBOX"
    case notifyAllow = "PROGRESS_LEDGER_NOTIFY_ALLOW"
    case database = "PROGRESS_LEDGER_DATABASE"
    case databaseRead = "PROGRESS_LEDGER_DATABASE_READ"
    case shards = "PROGRESS_LEDGER_SHARDS"
    case data = "PROGRESS_LEDGER_DATA"
    case databaseConnections = "PROGRESS_LEDGER_DATABASE_CONNECTIONS"
    case citus = "PROGRESS_LEDGER_CITUS"
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

    /// Whether the setting is allowed in the configuration file.
    ///
    /// The file describes a service. It excludes settings of one task of a job, and settings that other modules read
    /// from the environment.
    var isAllowedInFile: Bool {
        switch self {
        case .host, .port, .allowedHosts, .corsOrigins, .basePath, .trustedProxies, .tlsCertificate, .tlsKey,
            .tlsClientCA, .jwks, .jwtIssuer, .jwtAudience, .jwtMap, .tilebox, .notifyAllow, .database, .databaseRead,
            .shards, .data,
            .databaseConnections, .citus,
            .logLevel, .logFormat, .drainSeconds, .waitForDatabase, .watchersMax:
            true
        case .url, .config, .job, .task, .execution, .attempt, .anchorKey, .postgresBin, .postgresUser: false
        }
    }
}
