internal import DequeModule
internal import Logging
internal import Synchronization

/// Opens, lends and closes the connections of a pool as ``PoolState`` decides.
///
/// The connections have the same executor, so their state can be read without `await`, which would cost a switch
/// between executors each time.
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
    /// The group that drops connections to a silent server together.
    ///
    /// It contains this pool alone if the settings name no group.
    private let silenceGroup: PoolGroup
    private let logger: Logger
    private var state: PoolState<Connection, Waiter>
    private var waiterDeadlines: [Int: ContinuousClock.Instant] = [:]
    private var isRegistered = false
    private var counters = Pool.Statistics()
    private var roundTripsOfClosed: UInt64 = 0
    /// Whether a pooler was found in between when a connection was opened.
    private var isPooled = false
    /// The time at which the server's limit is tried again; nil if it was not reached.
    private var limitEnd: ContinuousClock.Instant?
    private var allConnections: [ObjectIdentifier: Connection] = [:]
    /// The moment since which each idle connection has been idle.
    private var idleSince: [ObjectIdentifier: ContinuousClock.Instant] = [:]
    /// The approximate time a server process takes to exit after its connection closes.
    private static let backendExitTime: Duration = .milliseconds(50)
    /// The time until a pool tries again to exceed the limit of the server.
    private static let limitTime: Duration = .seconds(10)
    /// The longest pause between attempts to connect to a server at its limit.
    private static let connectPauseMax: Duration = .seconds(1)

    init(target: ConnectionTarget, settings: Pool.Settings, reactor: Reactor, logger: Logger) {
        self.target = target
        self.settings = settings
        self.reactor = reactor
        self.logger = logger
        silenceGroup = settings.group ?? PoolGroup()
        state = PoolState(connectionsMax: settings.connectionsMax, waitersMax: settings.waitersMax)
        silenceGroup.join(self)
    }

    /// Returns a usable connection for one caller, which must ``release(_:)`` it.
    func acquire() async throws(PQError) -> Connection {
        await closeUnusableIdle()
        if let limitEnd, limitEnd <= .now {
            self.limitEnd = nil
            state.liftLimit()
        }
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
        switch connection.availability {
        case .detached:
            Task(name: "pq-detached") {
                await connection.waitWhileDetached()
                await self.release(connection)
            }
            return
        case .reusable where !isTooOld(connection): break
        case .reusable, .unusable: return await discard(connection)
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
            try await checkPooler(connection, facts, settings)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
        return facts
    }

    /// Refuses a pooler that does not give each connection a session of its own.
    ///
    /// Every server is checked, because some poolers look like a server.
    private func checkPooler(
        _ connection: Connection, _ facts: SessionFacts, _ settings: Pool.Settings
    ) async throws(PQError) {
        let other: Connection
        do throws(PQError) { other = try await openConnection(settings).connection } catch {
            // A login with a single connection works. Its server process has accepted it, so the session is its own.
            if error.sqlState == .tooManyConnections, !facts.isPooled { return }
            throw error
        }
        do throws(PQError) {
            try await PoolerCheck.run(on: connection, other, deadline: settings.connectDeadline)
        } catch {
            await other.close()
            throw error
        }
        await other.close()
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
            if error.sqlState == .tooManyConnections, state.connectRefused() {
                limitEnd = .now + Self.limitTime
                return try await wait()
            }
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
        // A pooler does not refuse a connection, so an attempt ends at the deadline for connecting.
        let end = ContinuousClock.now + settings.acquireDeadline + settings.connectDeadline
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
        let connection = try await Connection.connect(
            to: target, deadline: settings.connectDeadline, cancelGrace: settings.cancelGrace, pings: settings.pings,
            reactor: reactor, logger: logger, group: silenceGroup)
        do throws(PQError) {
            let facts = try await connection.establish(settings.session, deadline: settings.connectDeadline)
            if facts.isPooled { settings.group?.isPooled.store(true, ordering: .relaxed) }
            isPooled = facts.isPooled
            return (connection, facts)
        } catch {
            await connection.close()
            // A pooler in session mode accepts any number of logins, and lets them wait for a session.
            guard isPooled || settings.group?.isPooled.load(ordering: .relaxed) == true,
                error.code == .deadlineExceeded
            else { throw error }
            throw PQError(
                .connectionFailed,
                "the pooler gave the connection no session within \(settings.connectDeadline): its pool is too small",
                sqlState: .tooManyConnections)
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
        // Almost always, all of them are usable.
        guard !state.idle.allSatisfy({ $0.availability == .reusable }) else { return }
        for connection in state.removeIdle(where: { $0.availability != .reusable }) { await close(connection) }
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

extension PoolDriver: ConnectionOwner {
    nonisolated func heard(from server: ServerAddress) -> ContinuousClock.Instant? {
        assumeIsolated { driver in
            driver.allConnections.values.filter { $0.server == server }.map { $0.assumeIsolated { $0.heardAt } }.max()
        }
    }

    nonisolated func drop(_ server: ServerAddress) {
        assumeIsolated { driver in
            for connection in driver.allConnections.values where connection.server == server {
                connection.assumeIsolated { $0.serverFellSilent() }
            }
            Task(name: "pq-silence") { await driver.closeUnusableIdle() }
        }
    }
}
