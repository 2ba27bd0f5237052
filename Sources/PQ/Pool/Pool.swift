public import Logging

/// A bounded number of connections to one database, lent to one caller at a time.
///
/// Connections are made when they are needed, are checked when they come back, and are replaced when they are lost.
/// Callers beyond the bound wait in order, a bounded time and in a bounded number.
public final class Pool: Sendable {
    /// How a pool behaves. Every limit has a default.
    public struct Settings: Sendable {
        /// The most connections at once. Each is a process of the server.
        public var connectionsMax = 8
        /// The most callers that wait for one.
        public var waitersMax = 1_000
        /// How long a caller waits for one.
        public var acquireDeadline: Duration = .seconds(5)
        /// How long one operation may take where its caller says nothing else.
        public var operationDeadline: Duration = .seconds(30)
        /// How long making a connection may take, for each host.
        public var connectDeadline: Duration = .seconds(5)
        /// How long the server has, once an operation is past its deadline or cancelled, to answer the request to cancel
        /// it. Then the connection is given up.
        public var cancelGrace: Duration = .seconds(5)
        /// How old a connection gets before another takes its place, give or take a tenth, so that they do not all go
        /// at once. So a pool finds its way to a new primary, and servers can be taken out of service.
        public var lifetimeMax: Duration = .seconds(1_800)
        /// How long a connection rests before it is given back to the server.
        public var idleMax: Duration = .seconds(60)
        /// What each session must guarantee.
        public var session = SessionRequirements()
        /// The other pools of this process on the same server; nil for none.
        public var group: PoolGroup?
        /// What the server's administrator sees.
        public var applicationName = "progress-ledger"

        public init() {}
    }

    /// What a pool has done and does.
    public struct Statistics: Sendable {
        /// Connections, idle, lent or being made.
        public var connections = 0
        /// Connections lent.
        public var lent = 0
        /// Callers that wait.
        public var waiters = 0
        /// Connections made since the start.
        public var connected: UInt64 = 0
        /// Attempts to connect that failed since the start.
        public var connectFailures: UInt64 = 0
        /// Callers that got none in time since the start.
        public var refused: UInt64 = 0
        /// Round trips made since the start.
        public var roundTrips: UInt64 = 0
    }

    /// The reactor on which its connections live.
    public let reactor: Reactor
    let settings: Settings
    let driver: PoolDriver

    /// A pool for this database. Connects to nothing yet.
    public init(target: ConnectionTarget, settings: Settings = Settings(), reactor: Reactor = .shared, logger: Logger) {
        precondition(settings.connectionsMax > 0, "a pool has at least one connection")
        self.reactor = reactor
        self.settings = settings
        // The encoding of this side: whatever the environment or the role says, what is sent is UTF-8.
        let named = target.setting("fallback_application_name", settings.applicationName)
            .setting("client_encoding", "UTF8")
        driver = PoolDriver(target: named, settings: settings, reactor: reactor, logger: logger)
        settings.group?.join(driver)
    }

    /// Runs one statement by itself, committed when this returns.
    ///
    /// - Parameter isDurableWrite: Whether its commit must be proven. It is then never cancelled, neither with the task
    ///   nor at the deadline: it goes on until the server answers, is found silent, or ends it by `statement_timeout`.
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

    /// Runs statements in one round trip and one transaction: all take effect, or none. At most 1,000.
    ///
    /// Several are sent between `begin` and `commit`. Without these, a pipeline is one transaction on PostgreSQL itself,
    /// but not on servers that distribute its statements.
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
            return try await withPooled { connection throws(PQError) in try await body(connection, moment) }
        } catch  where error.isStaleStatement {
            // What a prepared statement refers to has changed; the connection has forgotten it by now, and the failed
            // group has done nothing.
            return try await withPooled { connection throws(PQError) in try await body(connection, moment) }
        }
    }

    /// Makes a connection apart from the pool's, closes it again, and returns what its session was found to be.
    ///
    /// - Parameter isWritable: Whether a server that takes no writes is refused, where the pool's settings do so.
    /// - Throws: ``PQError/Code/sessionRefused`` if the server does not give what the settings require.
    public func checkSession(isWritable: Bool = true) async throws(PQError) -> SessionFacts {
        try await driver.checkSession(isWritable: isWritable)
    }

    /// Lends a connection to the closure. Transactions have ``withTransaction(isolation:readOnly:deadline:_:)``.
    public func withConnection<R>(_ body: (inout Lease) async throws -> R) async throws -> R {
        try await withTaskExecutorPreference(reactor.taskExecutor) {
            let connection = try await driver.acquire()
            var lease = Lease(connection: connection, settings: settings)
            do {
                let result = try await body(&lease)
                await driver.release(connection)
                return result
            } catch {
                await driver.release(connection)
                throw error
            }
        }
    }

    /// Runs the closure in a transaction: it is committed when the closure returns and rolled back when it throws.
    ///
    /// `BEGIN` travels with the closure's first statement, and with ``Transaction/commit(after:)`` `COMMIT` travels
    /// with its last ones, so a transaction need not cost a round trip more than its statements.
    ///
    /// - Parameter deadline: How long each operation in it may take.
    /// - Throws: What the closure throws; ``PQError/Code/transactionRolledBack`` where `COMMIT` answers `ROLLBACK`.
    public func withTransaction<R>(
        isolation: IsolationLevel = .readCommitted, readOnly: Bool = false, deadline: Duration? = nil,
        _ body: (inout Transaction) async throws -> R
    ) async throws -> R {
        try await withTaskExecutorPreference(reactor.taskExecutor) {
            let connection = try await driver.acquire()
            do {
                let result = try await Transaction.run(
                    on: connection, isolation, isReadOnly: readOnly,
                    deadline: deadline ?? settings.operationDeadline, body)
                await driver.release(connection)
                return result
            } catch {
                await driver.release(connection)
                throw error
            }
        }
    }

    private func withPooled<R>(
        _ body: (Connection) async throws(PQError) -> R
    ) async throws(PQError) -> R {
        let connection = try await driver.acquire()
        do throws(PQError) {
            let result = try await body(connection)
            await driver.release(connection)
            return result
        } catch {
            await driver.release(connection)
            throw error
        }
    }

    /// Closes idle connections now and lent ones when they come back. Nobody gets one any more.
    public func close() async {
        await driver.close()
    }

    /// What the pool has done and does.
    public var statistics: Statistics {
        get async { await driver.statistics }
    }
}
