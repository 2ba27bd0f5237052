internal import DequeModule
internal import Logging

/// Opens, lends and closes the connections of a pool as ``PoolState`` decides.
actor PoolDriver {
    /// The result that ends a caller's wait.
    private enum WaitResult {
        case lend(Connection)
        /// Open a connection in the slot that became free.
        case connect
        case refuse(PQError)
    }

    private final class Waiter {
        let deadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<WaitResult, Never>

        init(deadline: ContinuousClock.Instant, continuation: CheckedContinuation<WaitResult, Never>) {
            self.deadline = deadline
            self.continuation = continuation
        }
    }

    nonisolated let reactor: Reactor
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe reactor.asUnownedSerialExecutor() }
    private let target: ConnectionTarget
    private let settings: Pool.Settings
    private let logger: Logger
    private var state: PoolState<Connection, Waiter>
    private var waiterDeadlines: [Int: ContinuousClock.Instant] = [:]
    private var isRegistered = false
    private var counters = Pool.Statistics()
    private var roundTripsOfClosed: UInt64 = 0
    private var allConnections: [ObjectIdentifier: Connection] = [:]
    /// The moment since which each idle connection has been idle.
    private var idleSince: [ObjectIdentifier: ContinuousClock.Instant] = [:]
    /// The number of comparisons that detect a pooler with shared sessions.
    private static let poolerChecks = 8
    /// The approximate time a server process takes to exit after its connection closes.
    private static let backendExitTime: Duration = .milliseconds(50)
    /// The longest pause between attempts to connect to a server at its limit.
    private static let connectPauseMax: Duration = .seconds(1)

    init(target: ConnectionTarget, settings: Pool.Settings, reactor: Reactor, logger: Logger) {
        self.target = target
        self.settings = settings
        self.reactor = reactor
        self.logger = logger
        state = PoolState(connectionsMax: settings.connectionsMax, waitersMax: settings.waitersMax)
    }

    /// Returns a usable connection for one caller, which must ``release(_:)`` it.
    func acquire() async throws(PQError) -> Connection {
        await closeUnusableIdle()
        switch state.acquire() {
        case .lend(let connection):
            idleSince[ObjectIdentifier(connection)] = nil
            return connection
        case .connect: return try await connect()
        case .wait: return try await wait()
        case .refuse(let waiting):
            counters.refused += 1
            throw PQError(.poolExhausted, "\(waiting) callers wait for a connection already")
        case .refuseClosed: throw PQError(.poolClosed, "the pool is closed")
        }
    }

    /// Takes a connection back, and closes it if it cannot be used again.
    ///
    /// It cannot if a transaction is open, an operation is in progress or the server was lost.
    ///
    /// A connection with a detached commit stays lent until the commit ends. If all commits of a server wait for a
    /// standby, their number is therefore limited to the size of the pool.
    func release(_ connection: Connection) async {
        if await connection.isDetached {
            Task(name: "pq-detached") {
                await connection.waitWhileDetached()
                await self.release(connection)
            }
            return
        }
        guard await connection.isReusable, !isTooOld(connection) else {
            await discard(connection)
            return
        }
        let (waiter, shouldClose) = state.release(connection)
        if let waiter {
            waiter.continuation.resume(returning: .lend(connection))
        } else if shouldClose {
            await close(connection)
        } else {
            let now = ContinuousClock.now
            idleSince[ObjectIdentifier(connection)] = now
            watchDeadline(now + settings.idleMax)
        }
    }

    /// Closes the connection that has been idle longest.
    ///
    /// - Returns: Whether a connection was idle.
    func closeOneIdle() async -> Bool {
        guard let connection = state.removeOneIdle() else { return false }
        await close(connection)
        return true
    }

    /// Closes all idle connections.
    func closeAllIdle() async {
        for connection in state.removeIdle(where: { _ in true }) { await close(connection) }
    }

    private func closeExpiredIdle(_ now: ContinuousClock.Instant) async {
        let since = idleSince
        let idleMax = settings.idleMax
        let expired = state.removeIdle { since[ObjectIdentifier($0)].map { now - $0 >= idleMax } ?? false }
        for connection in expired { await close(connection) }
    }

    func checkSession(isWritable: Bool) async throws(PQError) -> SessionFacts {
        var settings = settings
        settings.session.isWritable = settings.session.isWritable && isWritable
        let (connection, facts) = try await openConnection(settings)
        do throws(PQError) {
            if facts.isPooled { try await checkPooler(connection, settings) }
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
        return facts
    }

    /// Refuses a pooler that uses another session for each transaction.
    ///
    /// With such a pooler, the settings, roles and prepared statements of one client would leak to another.
    ///
    /// The check stores a value in one session and reads it from that connection and from a second one. A pooler that
    /// keeps sessions apart shows the value to the first connection only, every time.
    private func checkPooler(_ connection: Connection, _ settings: Pool.Settings) async throws(PQError) {
        let token = String(UInt64.random(in: 0 ... .max), radix: 36)
        let (other, _) = try await openConnection(settings)
        var isShared = false
        do throws(PQError) {
            _ = try await queryText(
                "select set_config('progress_ledger.session', $1, false)", [.text(token)], connection)
            let readSQL = "select coalesce(current_setting('progress_ledger.session', true), '')"
            for _ in 1...Self.poolerChecks where !isShared {
                let seenByOther = try await queryText(readSQL, [], other)
                let seenByFirst = try await queryText(readSQL, [], connection)
                isShared = seenByOther == token || seenByFirst != token
            }
        } catch {
            await other.close()
            throw error
        }
        await other.close()
        guard isShared else { return }
        throw PQError(
            .sessionRefused,
            """
            a pooler gives every transaction another session. Use its session mode (PgBouncer: pool_mode = session), or \
            connect to PostgreSQL directly
            """)
    }

    private func queryText(
        _ sql: String, _ parameters: [Parameter], _ connection: Connection
    ) async throws(PQError) -> String {
        let rows = try await connection.run(
            [Query(sql, parameters, prepare: false)], by: .now + settings.connectDeadline, commits: .cancellable)
        guard let row = rows.first?.first else { throw PQError(.decoding, "the statement gave no result") }
        return try row.decode(0)
    }

    func close() async {
        let (waiters, idle) = state.close()
        for waiter in waiters {
            waiter.continuation.resume(returning: .refuse(PQError(.poolClosed, "the pool is closed")))
        }
        for connection in idle { await close(connection) }
        unregister()
    }

    var statistics: Pool.Statistics {
        get async {
            var counters = counters
            counters.connections = state.connectionCount
            counters.lent = state.lentCount
            counters.waiters = state.waiterCount
            counters.roundTrips = roundTripsOfClosed
            for connection in allConnections.values { counters.roundTrips += UInt64(await connection.roundTrips) }
            return counters
        }
    }

    // MARK: Opening and closing

    private func connect() async throws(PQError) -> Connection {
        do throws(PQError) {
            let connection: Connection
            switch try await openOrTakeIdle() {
            case .opened(let new): connection = new
            case .idle(let old):
                idleSince[ObjectIdentifier(old)] = nil
                return old
            }
            state.connected()
            counters.connected += 1
            allConnections[ObjectIdentifier(connection)] = connection
            return connection
        } catch {
            counters.connectFailures += 1
            // The callers that hold a connection return it sooner or later.
            if error.sqlState == .tooManyConnections, state.connectRefused() { return try await wait() }
            // The next waiter would fail the same way. It retries now, so it learns this at once and not at its
            // deadline.
            if let next = state.connectFailed() { next.continuation.resume(returning: .connect) }
            throw error
        }
    }

    /// A connection opened for a caller, or an idle one that made opening unnecessary.
    private enum ConnectResult {
        case opened(Connection)
        /// A connection that became idle while a new one was being opened.
        case idle(Connection)
    }

    /// Opens a connection, or takes a slot from an idle connection of another pool.
    ///
    /// The second happens if the server refuses more connections.
    private func openOrTakeIdle() async throws(PQError) -> ConnectResult {
        let end = ContinuousClock.now + settings.acquireDeadline
        var pause = Self.backendExitTime
        while true {
            do throws(PQError) {
                return .opened(try await openConnection(settings).connection)
            } catch {
                if error.sqlState == .tooManyConnections {
                    await closeUnusableIdle()
                    if let idle = state.takeIdleInsteadOfConnecting() { return .idle(idle) }
                }
                // If this pool has lent connections, the caller waits in the queue for one of them. Otherwise an idle
                // connection of another pool must be closed first.
                guard error.sqlState == .tooManyConnections, state.lentCount == 0, let group = settings.group,
                    .now < end
                else { throw error }
                let hasFreedOne = await group.closeOneIdle(except: self)
                do { try await Task.sleep(for: hasFreedOne ? Self.backendExitTime : pause) } catch {
                    throw PQError(.cancelled, "cancelled while connecting")
                }
                if !hasFreedOne { pause = min(pause * 2, Self.connectPauseMax) }
            }
        }
    }

    private func openConnection(_ settings: Pool.Settings) async throws(PQError) -> (
        connection: Connection, facts: SessionFacts
    ) {
        let group = settings.group
        let connection = try await Connection.connect(
            to: target, deadline: settings.connectDeadline, cancelGrace: settings.cancelGrace, reactor: reactor,
            logger: logger,
            onServerUnresponsive: { [weak self] in
                Task(name: "pq-silence") {
                    await self?.closeAllIdle()
                    await group?.closeAllIdle()
                }
            })
        do throws(PQError) {
            return (connection, try await connection.establish(settings.session, deadline: settings.connectDeadline))
        } catch {
            await connection.close()
            throw error
        }
    }

    private func discard(_ connection: Connection) async {
        if let next = state.discard() { next.continuation.resume(returning: .connect) }
        await close(connection)
    }

    private func close(_ connection: Connection) async {
        allConnections[ObjectIdentifier(connection)] = nil
        idleSince[ObjectIdentifier(connection)] = nil
        roundTripsOfClosed += UInt64(await connection.roundTrips)
        await connection.close()
    }

    private func isTooOld(_ connection: Connection) -> Bool {
        // The server's process number spreads the ages of the connections at no extra cost.
        let spread = Double(connection.backendProcess % 21) / 100 - 0.1
        return connection.openedAt.duration(to: .now) > settings.lifetimeMax * (1 + spread)
    }

    private func closeUnusableIdle() async {
        var lost: Set<ObjectIdentifier> = []
        for connection in state.idle where await !connection.isReusable { lost.insert(ObjectIdentifier(connection)) }
        guard !lost.isEmpty else { return }
        for connection in state.removeIdle(where: { lost.contains(ObjectIdentifier($0)) }) { await close(connection) }
    }

    // MARK: Waiting

    private func wait() async throws(PQError) -> Connection {
        let deadline = ContinuousClock.now + settings.acquireDeadline
        let waiterID = state.makeWaiterID()
        let result: WaitResult = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<WaitResult, Never>) in
                guard !Task.isCancelled else {
                    continuation.resume(returning: Self.cancelled)
                    return
                }
                state.enqueue(Waiter(deadline: deadline, continuation: continuation), waiterID)
                watchDeadline(waiterID, until: deadline)
            }
        } onCancel: {
            Task(name: "pq-cancel-wait") { await self.cancel(waiterID) }
        }
        waiterDeadlines[waiterID] = nil
        switch result {
        case .lend(let connection): return connection
        case .connect: return try await connect()
        case .refuse(let error): throw error
        }
    }

    private func watchDeadline(_ waiterID: Int, until deadline: ContinuousClock.Instant) {
        waiterDeadlines[waiterID] = deadline
        watchDeadline(deadline)
    }

    private func watchDeadline(_ deadline: ContinuousClock.Instant) {
        if !isRegistered {
            reactor.register(self)
            isRegistered = true
        }
        reactor.deadlineChanged(to: deadline)
    }

    private func unregister() {
        guard isRegistered else { return }
        reactor.unregister(self)
        isRegistered = false
    }

    private static let cancelled = WaitResult.refuse(PQError(.cancelled, "cancelled while waiting for a connection"))

    private func cancel(_ waiterID: Int) {
        waiterDeadlines[waiterID] = nil
        state.removeWaiter(waiterID)?.continuation.resume(returning: Self.cancelled)
    }

    private func refuseOverdueWaiters(_ now: ContinuousClock.Instant) {
        for (waiterID, deadline) in waiterDeadlines where deadline <= now {
            waiterDeadlines[waiterID] = nil
            guard let waiter = state.removeWaiter(waiterID) else { continue }
            counters.refused += 1
            let message =
                """
                no connection became free within \(settings.acquireDeadline); \(state.lentCount) of at most \
                \(settings.connectionsMax) are in use
                """
            waiter.continuation.resume(returning: .refuse(PQError(.poolExhausted, message)))
        }
    }
}

extension PoolDriver: Reactor.Timed {
    nonisolated var nextDeadline: ContinuousClock.Instant? {
        assumeIsolated { driver in
            let idleExpiry = driver.idleSince.values.min().map { $0 + driver.settings.idleMax }
            return [driver.waiterDeadlines.values.min(), idleExpiry].compactMap { $0 }.min()
        }
    }

    nonisolated func deadlinePassed(_ now: ContinuousClock.Instant) {
        assumeIsolated { driver in
            driver.refuseOverdueWaiters(now)
            guard driver.idleSince.values.contains(where: { now - $0 >= driver.settings.idleMax }) else { return }
            Task(name: "pq-idle") { await driver.closeExpiredIdle(now) }
        }
    }
}
