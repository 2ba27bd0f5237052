internal import Logging

/// The effects of a pool: it makes connections, lends them and takes them back, as ``PoolState`` decides.
actor PoolDriver {
    private enum Grant {
        case lend(Connection)
        case makeYourOwn
        case refuse(PQError)
    }

    private final class Waiter {
        let deadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<Grant, Never>

        init(deadline: ContinuousClock.Instant, continuation: CheckedContinuation<Grant, Never>) {
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
    private var deadlines: [Int: ContinuousClock.Instant] = [:]
    private var isRemembered = false
    private var figures = Pool.Statistics()
    private var roundTripsOfClosed: UInt64 = 0
    private var alive: [ObjectIdentifier: Connection] = [:]
    /// Since when the idle connections rest.
    private var restingSince: [ObjectIdentifier: ContinuousClock.Instant] = [:]
    /// How often two connections are compared to tell whether a pooler keeps their sessions apart.
    private static let poolerChecks = 8
    /// How long a server process takes, about, to leave after its connection was closed.
    private static let leavingTime: Duration = .milliseconds(50)
    /// The longest pause between two attempts to connect to a server that has no more connections.
    private static let refusedPauseMax: Duration = .seconds(1)

    init(target: ConnectionTarget, settings: Pool.Settings, reactor: Reactor, logger: Logger) {
        self.target = target
        self.settings = settings
        self.reactor = reactor
        self.logger = logger
        state = PoolState(connectionsMax: settings.connectionsMax, waitersMax: settings.waitersMax)
    }

    /// A connection in good order, for one caller, who must give it back with ``release(_:)``.
    func acquire() async throws(PQError) -> Connection {
        await closeUseless()
        switch state.acquire() {
        case .lend(let connection):
            restingSince[ObjectIdentifier(connection)] = nil
            return connection
        case .connect: return try await connect()
        case .wait: return try await wait()
        case .refuse(let waiting):
            figures.refused += 1
            throw PQError(.poolExhausted, "\(waiting) callers wait for a connection already")
        case .refuseClosed: throw PQError(.poolClosed, "the pool is closed")
        }
    }

    /// Takes a connection back. One with an open transaction, an operation under way or a lost server is closed.
    ///
    /// One with a detached commit stays lent until that has ended: so a server whose commits all wait for a standby has as
    /// many of them as the pool has connections, and no more.
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
        let (waiter, isToBeClosed) = state.release(connection)
        if let waiter {
            waiter.continuation.resume(returning: .lend(connection))
        } else if isToBeClosed {
            await close(connection)
        } else {
            let now = ContinuousClock.now
            restingSince[ObjectIdentifier(connection)] = now
            lookAfter(now + settings.idleMax)
        }
    }

    /// Closes the connection that has rested longest.
    ///
    /// - Returns: Whether there was one.
    func closeOneIdle() async -> Bool {
        guard let connection = state.removeOneIdle() else { return false }
        await close(connection)
        return true
    }

    /// Closes all connections that rest.
    func closeAllIdle() async {
        for connection in state.removeIdle(where: { _ in true }) { await close(connection) }
    }

    private func closeRested(_ now: ContinuousClock.Instant) async {
        let since = restingSince
        let idleMax = settings.idleMax
        let rested = state.removeIdle { since[ObjectIdentifier($0)].map { now - $0 >= idleMax } ?? false }
        for connection in rested { await close(connection) }
    }

    func checkSession(isWritable: Bool) async throws(PQError) -> SessionFacts {
        var settings = settings
        settings.session.isWritable = settings.session.isWritable && isWritable
        let (connection, facts) = try await make(settings)
        do throws(PQError) {
            if facts.isPooled { try await checkPooler(connection, settings) }
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
        return facts
    }

    /// Refuses a pooler that gives each transaction another session: settings, roles and prepared statements of one client
    /// would then be met by another.
    ///
    /// A value is left in one session and looked for from there and from a second connection. A pooler that keeps
    /// sessions apart shows it to the first only, every time.
    private func checkPooler(_ connection: Connection, _ settings: Pool.Settings) async throws(PQError) {
        let token = String(UInt64.random(in: 0 ... .max), radix: 36)
        let (other, _) = try await make(settings)
        var isShared = false
        do throws(PQError) {
            _ = try await ask("select set_config('progress_ledger.session', $1, false)", [.text(token)], connection)
            let look = "select coalesce(current_setting('progress_ledger.session', true), '')"
            for _ in 1...Self.poolerChecks where !isShared {
                let seen = try await ask(look, [], other)
                let kept = try await ask(look, [], connection)
                isShared = seen == token || kept != token
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

    private func ask(
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
        forget()
    }

    var statistics: Pool.Statistics {
        get async {
            var figures = figures
            figures.connections = state.connectionCount
            figures.lent = state.lentCount
            figures.waiters = state.waiterCount
            figures.roundTrips = roundTripsOfClosed
            for connection in alive.values { figures.roundTrips += UInt64(await connection.roundTrips) }
            return figures
        }
    }

    // MARK: Making and closing

    private func connect() async throws(PQError) -> Connection {
        do throws(PQError) {
            let connection: Connection
            switch try await makeOrTakeOver() {
            case .made(let new): connection = new
            case .rested(let old):
                restingSince[ObjectIdentifier(old)] = nil
                return old
            }
            state.connected()
            figures.connected += 1
            alive[ObjectIdentifier(connection)] = connection
            return connection
        } catch {
            figures.connectFailures += 1
            // Whoever has one gives it back sooner or later.
            if error.sqlState == .tooManyConnections, state.connectRefused() { return try await wait() }
            // The next in line would fail the same way: it learns so at once rather than at its deadline.
            if let next = state.connectFailed() { next.continuation.resume(returning: .makeYourOwn) }
            throw error
        }
    }

    private enum Acquired {
        case made(Connection)
        /// It had been lent meanwhile, and came back.
        case rested(Connection)
    }

    /// Makes a connection; if the server has no more of them, takes the place of one that rests in another pool.
    private func makeOrTakeOver() async throws(PQError) -> Acquired {
        let end = ContinuousClock.now + settings.acquireDeadline
        var pause = Self.leavingTime
        while true {
            do throws(PQError) {
                return .made(try await make(settings).connection)
            } catch {
                if error.sqlState == .tooManyConnections {
                    await closeUseless()
                    if let rested = state.takeIdleInstead() { return .rested(rested) }
                }
                // One of our own is waited for by the caller, in its turn; others must first come to rest.
                guard error.sqlState == .tooManyConnections, state.lentCount == 0, let group = settings.group,
                    .now < end
                else { throw error }
                let isGiven = await group.giveBackOne(except: self)
                do { try await Task.sleep(for: isGiven ? Self.leavingTime : pause) } catch {
                    throw PQError(.cancelled, "cancelled while connecting")
                }
                if !isGiven { pause = min(pause * 2, Self.refusedPauseMax) }
            }
        }
    }

    private func make(_ settings: Pool.Settings) async throws(PQError) -> (connection: Connection, facts: SessionFacts)
    {
        let group = settings.group
        let connection = try await Connection.connect(
            to: target, deadline: settings.connectDeadline, cancelGrace: settings.cancelGrace, reactor: reactor,
            logger: logger,
            onSilence: { [weak self] in
                Task(name: "pq-silence") {
                    await self?.closeAllIdle()
                    await group?.dropIdle()
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
        if let next = state.discard() { next.continuation.resume(returning: .makeYourOwn) }
        await close(connection)
    }

    private func close(_ connection: Connection) async {
        alive[ObjectIdentifier(connection)] = nil
        restingSince[ObjectIdentifier(connection)] = nil
        roundTripsOfClosed += UInt64(await connection.roundTrips)
        await connection.close()
    }

    private func isTooOld(_ connection: Connection) -> Bool {
        // The process number of the server spreads the ages, and is there already.
        let spread = Double(connection.backendProcess % 21) / 100 - 0.1
        return connection.madeAt.duration(to: .now) > settings.lifetimeMax * (1 + spread)
    }

    private func closeUseless() async {
        var lost: Set<ObjectIdentifier> = []
        for connection in state.idle where await !connection.isReusable { lost.insert(ObjectIdentifier(connection)) }
        guard !lost.isEmpty else { return }
        for connection in state.removeIdle(where: { lost.contains(ObjectIdentifier($0)) }) { await close(connection) }
    }

    // MARK: Waiting

    private func wait() async throws(PQError) -> Connection {
        let deadline = ContinuousClock.now + settings.acquireDeadline
        let number = state.newWaiterNumber()
        let grant: Grant = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Grant, Never>) in
                guard !Task.isCancelled else {
                    continuation.resume(returning: Self.cancelled)
                    return
                }
                state.enqueue(Waiter(deadline: deadline, continuation: continuation), number)
                lookAfter(number, until: deadline)
            }
        } onCancel: {
            Task(name: "pq-cancel-wait") { await self.cancel(number) }
        }
        deadlines[number] = nil
        switch grant {
        case .lend(let connection): return connection
        case .makeYourOwn: return try await connect()
        case .refuse(let error): throw error
        }
    }

    private func lookAfter(_ number: Int, until deadline: ContinuousClock.Instant) {
        deadlines[number] = deadline
        lookAfter(deadline)
    }

    private func lookAfter(_ deadline: ContinuousClock.Instant) {
        if !isRemembered {
            reactor.remember(self)
            isRemembered = true
        }
        reactor.deadlineChanged(to: deadline)
    }

    private func forget() {
        guard isRemembered else { return }
        reactor.forget(self)
        isRemembered = false
    }

    private static let cancelled = Grant.refuse(PQError(.cancelled, "cancelled while waiting for a connection"))

    private func cancel(_ number: Int) {
        deadlines[number] = nil
        state.removeWaiter(number)?.continuation.resume(returning: Self.cancelled)
    }

    private func refuseOverdue(_ now: ContinuousClock.Instant) {
        for (number, deadline) in deadlines where deadline <= now {
            deadlines[number] = nil
            guard let waiter = state.removeWaiter(number) else { continue }
            figures.refused += 1
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
            let restedAt = driver.restingSince.values.min().map { $0 + driver.settings.idleMax }
            return [driver.deadlines.values.min(), restedAt].compactMap { $0 }.min()
        }
    }

    nonisolated func deadlinePassed(_ now: ContinuousClock.Instant) {
        assumeIsolated { driver in
            driver.refuseOverdue(now)
            guard driver.restingSince.values.contains(where: { now - $0 >= driver.settings.idleMax }) else { return }
            Task(name: "pq-idle") { await driver.closeRested(now) }
        }
    }
}
