/// The requirements that a session must meet before it is used.
///
/// They are set and checked in one round trip after connecting. The settings are sent as statements and not as startup
/// options, because a pooler refuses the options or drops them silently.
public struct SessionRequirements: Sendable {
    /// Server settings for the whole session, applied in this order.
    ///
    /// Their names are plain identifiers.
    public var settings: [(name: String, value: String)] = []
    /// Settings that need a minimum server version, such as 170_000 for PostgreSQL 17.
    public var newerSettings: [(version: Int, name: String, value: String)] = []
    /// The role that the session takes after the settings; nil keeps the login role.
    public var role: String?
    /// Whether databases with another encoding than UTF8 are accepted.
    ///
    /// For programs that only read.
    public var acceptsAnyEncoding = false
    /// Whether commits wait for the disk.
    ///
    /// If so, `synchronous_commit = off` becomes `on`; other values stay unchanged.
    public var isDurable = false
    /// Whether the session writes.
    ///
    /// If so, servers in recovery and read-only databases are refused.
    public var isWritable = false

    /// Creates the default requirements: a UTF8 database and nothing else.
    public init() {}
}

/// The observed properties of a session after its settings are applied.
public struct SessionFacts: Sendable, Equatable {
    /// The user that logged in.
    public var login = ""
    /// The current role of the session.
    public var role = ""
    /// Whether the server is a standby or is recovering from a crash.
    public var isInRecovery = false
    /// Whether new transactions are read-only.
    ///
    /// The cause is recovery or `default_transaction_read_only`.
    public var isReadOnly = false
    /// `server_encoding` of the database.
    public var encoding = ""
    /// The value of `synchronous_commit`.
    public var synchronousCommit = ""
    /// The value of `session_replication_role`.
    ///
    /// Any value other than `origin` disables triggers.
    public var replicationRole = ""
    /// The server process of the session.
    public var backendProcess: Int32 = 0
    /// Whether a pooler is in between.
    ///
    /// It is if the server process is not the one that accepted the login. Some poolers pass on the number of the
    /// server process, and are then not noticed here.
    public var isPooled = false
}

extension SessionRequirements {
    /// Returns the statements that set up the session; the last returns its facts.
    func statements(serverVersion: Int) -> [Query] {
        // The warning that a commit was not replicated must reach the client: see ``CommitOutcome``.
        var settings = [(name: "client_min_messages", value: "notice")] + settings
        settings += newerSettings.filter { serverVersion >= $0.version }.map { ($0.name, $0.value) }
        var calls = settings.indices.map { "set_config($\(2 * $0 + 1), $\(2 * $0 + 2), false)" }
        if isDurable {
            calls.append(
                """
                set_config('synchronous_commit', case current_setting('synchronous_commit') when 'off' then 'on'
                    else current_setting('synchronous_commit') end, false)
                """)
        }
        // A pooler in session mode may be configured to pass sessions on as they are. The statements that another
        // client has prepared, its advisory locks and its role must not remain.
        var statements = ["deallocate all", "select pg_advisory_unlock_all()", "reset role"].map {
            Query($0, prepare: false)
        }
        statements.append(
            Query(
                "select " + calls.joined(separator: ", "), settings.flatMap { [.text($0.name), .text($0.value)] },
                prepare: false))
        if let role { statements.append(Query("select set_config('role', $1, false)", [.text(role)], prepare: false)) }
        statements.append(
            Query(
                """
                select session_user::text, current_user::text, pg_is_in_recovery(),
                    current_setting('default_transaction_read_only')::boolean, current_setting('server_encoding'),
                    current_setting('synchronous_commit'), current_setting('session_replication_role'),
                    pg_backend_pid()
                """, prepare: false))
        return statements
    }

    /// Returns why a session with these facts must not be used; nil if it may.
    func refusal(_ facts: SessionFacts) -> PQError? {
        if let role, facts.role != role {
            return PQError(
                .sessionRefused,
                """
                the session is \(facts.role) and not \(role): a pooler has dropped its role. Connect to PostgreSQL \
                directly, or through a pooler in session mode
                """)
        }
        guard facts.encoding == "UTF8" || acceptsAnyEncoding else {
            return PQError(
                .sessionRefused,
                """
                the database has the encoding \(facts.encoding), which cannot hold every name. Create it with \
                "encoding 'UTF8' template template0"
                """)
        }
        guard facts.replicationRole == "origin" || !isWritable else {
            return PQError(
                .sessionRefused,
                """
                session_replication_role is \(facts.replicationRole), which switches triggers off. Reset it for \
                \(facts.login) and the database
                """)
        }
        guard isWritable else { return nil }
        if facts.isInRecovery {
            return PQError(
                .sessionRefused,
                "the server is in recovery and takes no writes: it is a standby, or has not been promoted yet",
                sqlState: .readOnlyTransaction)
        }
        if facts.isReadOnly {
            return PQError(
                .sessionRefused, "the database is read only: default_transaction_read_only is on",
                sqlState: .readOnlyTransaction)
        }
        return nil
    }
}

extension Connection {
    /// Sets up the session as required and returns its facts.
    ///
    /// - Throws: ``PQError/Code/sessionRefused`` with the SQLSTATE if the server refuses a setting or the role, or does
    ///   not meet the requirements.
    func establish(
        _ requirements: SessionRequirements, deadline: Duration
    ) async throws(PQError) -> SessionFacts {
        let results: [Rows]
        do throws(PQError) {
            // At the deadline nothing is cancelled, because the connection is then closed. A pooler without a free
            // session would not respond to a request to cancel.
            results = try await run(
                requirements.statements(serverVersion: serverVersion), by: .now + deadline, commits: .writing)
        } catch {
            guard error.code != .deadlineExceeded else {
                throw PQError(.deadlineExceeded, "PostgreSQL did not set up a session within \(deadline)")
            }
            guard error.code == .server else { throw error }
            let subject = requirements.role.map { "the role \($0) or a setting" } ?? "a setting"
            throw PQError(
                .sessionRefused, "PostgreSQL refuses \(subject) of the session: \(error.server?.message ?? "")",
                sqlState: error.sqlState, server: error.server)
        }
        // Round trips of connecting are not counted as round trips of operations.
        resetRoundTrips()
        guard let row = results.last?.first else { throw PQError(.decoding, "the session has no facts") }
        let facts = SessionFacts(
            login: try row.decode(0), role: try row.decode(1), isInRecovery: try row.decode(2),
            isReadOnly: try row.decode(3), encoding: try row.decode(4), synchronousCommit: try row.decode(5),
            replicationRole: try row.decode(6), backendProcess: try row.decode(7),
            isPooled: try row.decode(7, as: Int32.self) != backendProcess)
        if let refusal = requirements.refusal(facts) { throw refusal }
        return facts
    }
}
