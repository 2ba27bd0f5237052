/// A connection lent to a closure for operations that need the same connection.
///
/// Unlike in ``Transaction``, no transaction is open around them.
public struct Lease: ~Copyable {
    private let connection: Connection
    private let settings: Pool.Settings

    init(connection: Connection, settings: Pool.Settings) {
        self.connection = connection
        self.settings = settings
    }

    /// The id of the server process that serves this connection.
    public var backendProcess: Int32 { connection.backendProcess }

    /// Prevents the connection from being lent again.
    ///
    /// For a session whose state is unknown, such as one that may still hold a lock.
    public func doNotReuse() async { await connection.doNotReuse() }

    /// Runs one statement, committed when this returns.
    public mutating func query(_ query: Query, deadline: Duration? = nil) async throws(PQError) -> Rows {
        let rows = try await pipeline([query], deadline: deadline)
        guard let first = rows.first else { throw PQError(.decoding, "the statement gave no result") }
        return first
    }

    /// Runs statements in one round trip and one transaction.
    ///
    /// Several statements are sent between `begin` and `commit`, as by ``Pool/pipeline(_:deadline:isDurableWrite:)``.
    public mutating func pipeline(_ queries: [Query], deadline: Duration? = nil) async throws(PQError) -> [Rows] {
        let moment = ContinuousClock.now + (deadline ?? settings.operationDeadline)
        guard queries.count > 1 else { return try await connection.run(queries, by: moment, commits: .cancellable) }
        return try await Transaction.pipeline(queries, on: connection, by: moment, commits: .cancellable)
    }

    /// Runs a text of several statements without parameters, as psql does.
    ///
    /// They run in one transaction, unless the text itself contains transaction commands. For migrations.
    public mutating func script(_ sql: String, deadline: Duration? = nil) async throws(PQError) {
        try await connection.script(sql, by: .now + (deadline ?? settings.operationDeadline))
    }

    /// Runs the closure in a transaction on this connection.
    public mutating func withTransaction<R>(
        isolation: IsolationLevel = .readCommitted, readOnly: Bool = false, deadline: Duration? = nil,
        _ body: (inout Transaction) async throws -> R
    ) async throws -> R {
        try await run(isolation, readOnly, deadline, body) { $0 }
    }

    /// Variant for closures that throw only ``PQError``.
    public mutating func withTransaction<R>(
        isolation: IsolationLevel = .readCommitted, readOnly: Bool = false, deadline: Duration? = nil,
        _ body: (inout Transaction) async throws(PQError) -> R
    ) async throws(PQError) -> R {
        try await run(isolation, readOnly, deadline, body) { $0 }
    }

    private func run<R, Failure: Error>(
        _ isolation: IsolationLevel, _ isReadOnly: Bool, _ deadline: Duration?,
        _ body: (inout Transaction) async throws(Failure) -> R, _ convert: (PQError) -> Failure
    ) async throws(Failure) -> R {
        try await Transaction.run(
            on: connection, isolation, isReadOnly: isReadOnly, deadline: deadline ?? settings.operationDeadline, body,
            convert)
    }
}
