public import Logging
public import Tracing

/// A bounded pool of connections to one database.
///
/// A connection is lent to one caller at a time. Connections are opened on demand, checked when they are returned, and
/// replaced when they are lost. Further callers wait in order. Both the waiting time and the number of waiting callers
/// are limited.
public final class Pool: Sendable {
    /// The limits of a pool and the requirements for its sessions.
    ///
    /// Every limit has a default.
    public struct Settings: Sendable {
        /// Maximum number of connections. Each is a process of the server.
        public var connectionsMax = 8
        /// Maximum number of callers that wait for a connection.
        public var waitersMax = 1_000
        /// How long a caller waits for a connection.
        public var acquireDeadline: Duration = .seconds(5)
        /// How long one operation may take, unless its caller sets another deadline.
        public var operationDeadline: Duration = .seconds(30)
        /// How long opening a connection may take, for each host.
        public var connectDeadline: Duration = .seconds(5)
        /// How long the server may take to cancel an operation.
        ///
        /// The pool cancels an operation past its deadline or with a cancelled task. After this time the
        /// connection is closed.
        public var cancelGrace: Duration = .seconds(5)
        /// The age at which a connection is replaced, plus or minus 10 %.
        ///
        /// The variation prevents all connections from being replaced at once. Replacement lets a pool move to a new
        /// primary, and lets servers be taken out of service.
        public var lifetimeMax: Duration = .seconds(1_800)
        /// How long a connection may be idle before it is closed.
        public var idleMax: Duration = .seconds(60)
        /// The guarantees that each session must provide.
        public var session = SessionRequirements()
        /// The group of this process's pools on the same server; nil for none.
        public var group: PoolGroup?
        /// The times of the pings that find a silent server.
        var pings = PingSettings()
        /// The application name shown in `pg_stat_activity`.
        public var applicationName = "progress-ledger"

        /// Creates the default settings.
        public init() {}
    }

    /// The state and the counters of a pool.
    public struct Statistics: Sendable {
        /// Number of connections that are idle, lent or being opened.
        public var connections = 0
        /// Number of lent connections.
        public var lent = 0
        /// Number of callers that wait for a connection.
        public var waiters = 0
        /// Connections opened since the start.
        public var connected: UInt64 = 0
        /// Failed attempts to connect since the start.
        public var connectFailures: UInt64 = 0
        /// Callers that got no connection in time since the start.
        public var refused: UInt64 = 0
        /// Round trips made since the start.
        public var roundTrips: UInt64 = 0
    }

    /// The reactor that the pool's connections run on.
    public let reactor: Reactor
    let settings: Settings
    let driver: PoolDriver
    private let tracer: (any Tracer)?

    /// Creates a pool for this database without connecting.
    public init(
        target: ConnectionTarget, settings: Settings = Settings(), reactor: Reactor = .shared, logger: Logger,
        tracer: (any Tracer)? = nil
    ) {
        self.tracer = tracer
        precondition(settings.connectionsMax > 0, "a pool has at least one connection")
        self.reactor = reactor
        self.settings = settings
        // The client encoding is always UTF-8, regardless of the environment and the role.
        let named = target.setting("fallback_application_name", settings.applicationName)
            .setting("client_encoding", "UTF8")
        driver = PoolDriver(target: named, settings: settings, reactor: reactor, logger: logger)
    }

    /// Runs one statement in its own transaction, committed when this returns.
    ///
    /// - Parameter isDurableWrite: Whether the commit must be proven. The statement is then never cancelled, neither
    ///   with the task nor at the deadline. It continues until the server responds, is found unresponsive, or ends it
    ///   by `statement_timeout`.
    public func query(
        _ query: Query, deadline: Duration? = nil, isDurableWrite: Bool = false
    ) async throws(PQError) -> Rows {
        let commits: Connection.Commits = isDurableWrite ? .writing : .cancellable
        let rows = try await retryingStale(deadline) { connection, moment throws(PQError) in
            try await connection.run([query], by: moment, commits: commits)
        }
        guard let first = rows.first else { throw PQError(.decoding, "the statement gave no result") }
        return first
    }

    /// Runs at most 1,000 statements in one round trip and one transaction.
    ///
    /// Either all take effect, or none. Several statements are sent between `begin` and `commit`. On PostgreSQL itself
    /// a pipeline is one transaction without these, but not on servers that distribute its statements.
    ///
    /// - Parameter isDurableWrite: As for ``query(_:deadline:isDurableWrite:)``.
    public func pipeline(
        _ queries: [Query], deadline: Duration? = nil, isDurableWrite: Bool = false
    ) async throws(PQError) -> [Rows] {
        guard queries.count > 1 else {
            guard let only = queries.first else { return [] }
            return [try await query(only, deadline: deadline, isDurableWrite: isDurableWrite)]
        }
        let commits: Connection.Commits = isDurableWrite ? .writing : .cancellable
        return try await retryingStale(deadline) { connection, moment throws(PQError) in
            try await Transaction.pipeline(queries, on: connection, by: moment, commits: commits)
        }
    }

    private func retryingStale(
        _ deadline: Duration?, _ body: (Connection, ContinuousClock.Instant) async throws(PQError) -> [Rows]
    ) async throws(PQError) -> [Rows] {
        let moment = ContinuousClock.now + (deadline ?? settings.operationDeadline)
        do {
            return try await withPooled({ connection throws(PQError) in try await body(connection, moment) }) { $0 }
        } catch  where error.isStaleStatement {
            // An object that a prepared statement refers to has changed. The connection has dropped its prepared
            // statements by now, and the failed group had no effect, so the group is run again.
            return try await withPooled({ connection throws(PQError) in try await body(connection, moment) }) { $0 }
        }
    }

    /// Opens and closes a separate connection and returns the facts of its session.
    ///
    /// - Parameter isWritable: Whether a read-only server is refused, if the pool's settings require it.
    /// - Throws: ``PQError/Code/sessionRefused`` if the server does not meet the settings' requirements.
    public func checkSession(isWritable: Bool = true) async throws(PQError) -> SessionFacts {
        try await driver.checkSession(isWritable: isWritable)
    }

    /// Lends a connection to the closure.
    ///
    /// For transactions use `withTransaction`.
    public func withConnection<R>(_ body: (inout Lease) async throws -> R) async throws -> R {
        try await withLease(body) { $0 }
    }

    /// Variant for closures that throw only ``PQError``.
    public func withConnection<R>(_ body: (inout Lease) async throws(PQError) -> R) async throws(PQError) -> R {
        try await withLease(body) { $0 }
    }

    private func withLease<R, Failure: Error>(
        _ body: (inout Lease) async throws(Failure) -> R, _ convert: (PQError) -> Failure
    ) async throws(Failure) -> R {
        try await onReactor(
            { connection throws(Failure) in
                var lease = Lease(connection: connection, settings: settings)
                return try await body(&lease)
            }, convert)
    }

    /// Runs the closure in a transaction.
    ///
    /// The transaction is committed when the closure returns and rolled back when it throws. `BEGIN` is sent with the
    /// closure's first statement, and ``Transaction/commit(after:)`` sends `COMMIT` with the last ones. A transaction
    /// therefore needs no more round trips than its statements.
    ///
    /// - Parameter deadline: How long each operation in it may take.
    /// - Throws: The closure's error; ``PQError/Code/transactionRolledBack`` if the server responds to `COMMIT` with
    ///   `ROLLBACK`.
    public func withTransaction<R>(
        isolation: IsolationLevel = .readCommitted, readOnly: Bool = false, deadline: Duration? = nil,
        _ body: (inout Transaction) async throws -> R
    ) async throws -> R {
        try await transact(isolation, readOnly, deadline, body) { $0 }
    }

    /// Variant for closures that throw only ``PQError``.
    ///
    /// A closure must declare it: `{ transaction throws(PQError) in … }`.
    public func withTransaction<R>(
        isolation: IsolationLevel = .readCommitted, readOnly: Bool = false, deadline: Duration? = nil,
        _ body: (inout Transaction) async throws(PQError) -> R
    ) async throws(PQError) -> R {
        try await transact(isolation, readOnly, deadline, body) { $0 }
    }

    private func transact<R, Failure: Error>(
        _ isolation: IsolationLevel, _ isReadOnly: Bool, _ deadline: Duration?,
        _ body: (inout Transaction) async throws(Failure) -> R, _ convert: (PQError) -> Failure
    ) async throws(Failure) -> R {
        try await onReactor(
            { connection throws(Failure) in
                try await Transaction.run(
                    on: connection, isolation, isReadOnly: isReadOnly,
                    deadline: deadline ?? settings.operationDeadline, body, convert)
            }, convert)
    }

    /// Lends a connection to a closure that runs on the reactor's thread.
    ///
    /// The connections run there too.
    private func onReactor<R, Failure: Error>(
        _ body: (Connection) async throws(Failure) -> R, _ convert: (PQError) -> Failure
    ) async throws(Failure) -> R {
        try await withTaskExecutorPreference(reactor.taskExecutor) { () throws(Failure) in
            try await withPooled(body, convert)
        }
    }

    /// Lends a connection to a closure.
    ///
    /// - Parameter convert: Makes the closure's type of error from that of the pool.
    private func withPooled<R, Failure: Error>(
        _ body: (Connection) async throws(Failure) -> R, _ convert: (PQError) -> Failure
    ) async throws(Failure) -> R {
        let span = tracer.map { PoolSpan($0, pool: settings.applicationName) }
        let connection: Connection
        do throws(PQError) {
            connection = try await driver.acquire()
        } catch {
            span?.end(error)
            throw convert(error)
        }
        span?.acquired()
        do throws(Failure) {
            let result = try await body(connection)
            await driver.release(connection)
            span?.end(nil)
            return result
        } catch {
            await driver.release(connection)
            span?.end(error)
            throw error
        }
    }

    /// Closes the pool: no caller gets a connection after this call.
    ///
    /// Idle connections are closed now, lent ones when they are returned.
    public func close() async {
        await driver.close()
    }

    /// The pool's state and counters.
    public var statistics: Statistics {
        get async { await driver.statistics }
    }
}
