/// The error of a failed operation on PostgreSQL.
///
/// Switch on ``code`` and ``sqlState``, never on the text.
public struct PQError: Error, Sendable {
    /// The kind of the failure.
    public enum Code: String, Hashable, Sendable {
        /// No connection could be opened. Nothing was sent.
        case connectionFailed
        /// The connection was lost during the operation.
        case connectionLost
        /// The server refused a statement; ``PQError/sqlState`` contains the reason.
        case server
        /// The deadline passed. The statement was cancelled or the connection closed.
        case deadlineExceeded
        /// The calling task was cancelled, and the statement with it.
        case cancelled
        /// All connections stayed in use until the deadline, or too many callers wait.
        ///
        /// Nothing was sent.
        case poolExhausted
        /// The pool is closed. Nothing was sent.
        case poolClosed
        /// A statement of the transaction had failed, so COMMIT rolled back.
        ///
        /// Nothing was committed.
        case transactionRolledBack
        /// The commit is on this server only; a failover may lose it.
        ///
        /// The server stopped waiting for its synchronous standbys.
        case notReplicated
        /// The session does not meet the requirements of ``Pool/Settings``.
        ///
        /// Nothing was sent.
        case sessionRefused
        /// A programming error: the handle was used after its commit, or concurrently.
        case misuse
        /// The result does not have the expected columns, types or values.
        case decoding
        /// The connection string cannot be parsed.
        case invalidConnectionString
        /// A parameter cannot be sent, such as a text with U+0000.
        case invalidParameter
    }

    /// The server's error report, field by field (manual, section 55.8).
    ///
    /// All fields except the message may be nil.
    public struct ServerReport: Hashable, Sendable {
        public var message: String = ""
        public var severity: String?
        public var detail: String?
        public var hint: String?
        public var context: String?
        public var schema: String?
        public var table: String?
        public var column: String?
        public var constraint: String?
        public var routine: String?
    }

    /// The kind of the failure.
    public let code: Code
    /// The attempted operation and the cause of the failure, for people.
    ///
    /// Contains no secret and no parameter.
    public let message: String
    /// The server's error code.
    public let sqlState: SQLState?
    /// The server's report.
    public let server: ServerReport?
    /// Whether the operation may have taken effect despite the error.
    ///
    /// It may if the connection was lost during a commit. Only reading the data shows the outcome.
    public let isOutcomeUnknown: Bool

    public init(
        _ code: Code, _ message: String, sqlState: SQLState? = nil, server: ServerReport? = nil,
        isOutcomeUnknown: Bool = false
    ) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
        self.server = server
        self.isOutcomeUnknown = isOutcomeUnknown
    }

    /// Whether the operation had no effect and may be retried after a while.
    ///
    /// The cause of the failure may disappear by itself.
    public var isRetrySafe: Bool {
        if isOutcomeUnknown { return false }
        switch code {
        case .connectionFailed, .connectionLost, .poolExhausted, .deadlineExceeded, .transactionRolledBack,
            .sessionRefused:
            return true
        case .cancelled, .poolClosed, .misuse, .decoding, .invalidConnectionString, .invalidParameter, .notReplicated:
            return false
        case .server: return isStaleStatement || sqlState.map(Self.isTransient) ?? false
        }
    }

    private static func isTransient(_ state: SQLState) -> Bool {
        switch state {
        case .serializationFailure, .deadlockDetected, .lockNotAvailable, .queryCanceled, .adminShutdown,
            .crashShutdown, .cannotConnectNow, .idleInTransactionTimeout, .readOnlyTransaction:
            return true
        default:
            // 08 connection exceptions, 53 insufficient resources (disk full, too many connections).
            return state.errorClass == "08" || state.errorClass == "53"
        }
    }

    /// Returns the same failure with an unknown outcome of a commit.
    func withUnknownOutcome() -> PQError {
        PQError(code, message, sqlState: sqlState, server: server, isOutcomeUnknown: true)
    }

    /// Returns the same failure after its outcome was found out: it had no effect.
    package func withKnownOutcome() -> PQError {
        PQError(code, message, sqlState: sqlState, server: server)
    }

    /// Whether the error ends the connection.
    var endsSession: Bool { code == .connectionLost || server?.severity == "FATAL" || server?.severity == "PANIC" }

    /// Whether an intermediate server may have lost the server that commits.
    ///
    /// Such a server, a pooler or a distributing PostgreSQL, sends an error of class 08.
    var isConnectionException: Bool { sqlState?.errorClass == "08" }

    /// Whether a prepared statement is no longer valid.
    ///
    /// Either the server's prepared statements differ from those that the connection has recorded, or an object that
    /// one refers to has changed.
    var isStaleStatement: Bool {
        sqlState == .invalidStatementName || sqlState == .duplicatePreparedStatement
            || sqlState == .featureNotSupported && server?.routine == "RevalidateCachedQuery"
    }
}

extension PQError: CustomStringConvertible, CustomDebugStringConvertible {
    public var description: String {
        sqlState.map { "\(message) (SQLSTATE \($0))" } ?? message
    }

    public var debugDescription: String {
        var text = "\(code.rawValue): \(description)"
        guard let server else { return text }
        let fields: [(String, String?)] = [
            ("detail", server.detail), ("hint", server.hint), ("context", server.context),
            ("constraint", server.constraint), ("schema", server.schema), ("table", server.table),
            ("column", server.column), ("routine", server.routine),
        ]
        for (name, value) in fields { if let value { text += "; \(name): \(value)" } }
        return text
    }
}
