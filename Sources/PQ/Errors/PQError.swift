/// Why an operation on PostgreSQL did not do what was asked. Switch on ``code`` and ``sqlState``, never on the text.
public struct PQError: Error, Sendable {
    /// What kind of failure it is.
    public enum Code: String, Hashable, Sendable {
        /// No connection could be made. Nothing was sent.
        case connectionFailed
        /// The connection was lost while the operation was under way.
        case connectionLost
        /// The server refused a statement; ``PQError/sqlState`` says why.
        case server
        /// The deadline passed. The statement was cancelled, or the connection given up.
        case deadlineExceeded
        /// The calling task was cancelled, and the statement with it.
        case cancelled
        /// All connections were in use until the deadline, or too many callers wait already. Nothing was sent.
        case poolExhausted
        /// The pool is closed. Nothing was sent.
        case poolClosed
        /// COMMIT answered ROLLBACK, because a statement of the transaction had failed. Nothing was committed.
        case transactionRolledBack
        /// The commit is on this server only: it stopped waiting for its synchronous standbys. A failover may lose it.
        case notReplicated
        /// The server does not give a session what ``Pool/Settings`` requires of it. Nothing was sent.
        case sessionRefused
        /// The transaction handle was used after its commit, or two operations at once: a mistake of the program.
        case misuse
        /// The result has another shape than the program expects.
        case decoding
        /// The connection string cannot be read.
        case invalidConnectionString
        /// A parameter cannot be sent, such as a text with U+0000.
        case invalidParameter
    }

    /// What the server said about an error, field by field (manual, section 55.8). All but the message may be nil.
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

    /// What kind of failure it is.
    public let code: Code
    /// What was attempted and why it failed, for people. Holds no secret and no parameter.
    public let message: String
    /// The server's own code of the error.
    public let sqlState: SQLState?
    /// What the server said.
    public let server: ServerReport?
    /// Whether what was asked may have been done all the same, because a commit was under way when the connection
    /// was lost. Then only looking tells.
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

    /// Nothing of the operation has taken effect, and the cause may pass by itself: try again after a while.
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

    /// The same failure, met when it cannot be told whether a commit took place.
    func withUnknownOutcome() -> PQError {
        PQError(code, message, sqlState: sqlState, server: server, isOutcomeUnknown: true)
    }

    /// Whether the connection ends with this error.
    var endsSession: Bool { code == .connectionLost || server?.severity == "FATAL" || server?.severity == "PANIC" }

    /// Whether a server between us and the one that commits may have lost its connection (class 08, sent by the server):
    /// a pooler, or a distributing PostgreSQL.
    var isConnectionException: Bool { sqlState?.errorClass == "08" }

    /// Whether the server's prepared statements are not those that the connection remembers, or what one refers to has
    /// changed.
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
