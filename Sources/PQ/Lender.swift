internal import Logging

/// The effects of a pool: it makes connections, lends them and takes them back, as ``PoolState`` decides.
actor Lender {
    private enum Call {
        case lend(Connection)
        case makeYourOwn
        case refuse(PQError)
    }

    private final class Waiter {
        let deadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<Call, Never>

        init(deadline: ContinuousClock.Instant, continuation: CheckedContinuation<Call, Never>) {
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
        case .lend(let connection): return connection
        case .connect: return try await connect()
        case .wait: return try await wait()
        case .refuse(let waiting):
            figures.refused += 1
            throw PQError(.poolExhausted, "\(waiting) callers wait for a connection already")
        case .refuseClosed: throw PQError(.poolClosed, "the pool is closed")
        }
    }

    /// Takes a connection back. One with an open transaction, an operation under way or a lost server is closed.
    func release(_ connection: Connection) async {
        guard await connection.isReusable, !isTooOld(connection) else {
            await discard(connection)
            return
        }
        let (waiter, isToBeClosed) = state.release(connection)
        if let waiter { waiter.continuation.resume(returning: .lend(connection)) }
        if isToBeClosed { await close(connection) }
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
            let connection = try await Connection.connect(
                to: target, deadline: settings.connectDeadline, cancelGrace: settings.cancelGrace, reactor: reactor,
                logger: logger)
            state.connected()
            figures.connected += 1
            alive[ObjectIdentifier(connection)] = connection
            return connection
        } catch {
            figures.connectFailures += 1
            // The next in line would fail the same way: it learns so at once rather than at its deadline.
            if let next = state.connectFailed() { next.continuation.resume(returning: .makeYourOwn) }
            throw error
        }
    }

    private func discard(_ connection: Connection) async {
        if let next = state.discard() { next.continuation.resume(returning: .makeYourOwn) }
        await close(connection)
    }

    private func close(_ connection: Connection) async {
        alive[ObjectIdentifier(connection)] = nil
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
        let call: Call = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Call, Never>) in
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
        switch call {
        case .lend(let connection): return connection
        case .makeYourOwn: return try await connect()
        case .refuse(let error): throw error
        }
    }

    private func lookAfter(_ number: Int, until deadline: ContinuousClock.Instant) {
        deadlines[number] = deadline
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

    private static let cancelled = Call.refuse(PQError(.cancelled, "cancelled while waiting for a connection"))

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
                "no connection became free within \(settings.acquireDeadline); all \(settings.connectionsMax) are in use"
            waiter.continuation.resume(returning: .refuse(PQError(.poolExhausted, message)))
        }
    }
}

extension Lender: Reactor.Timed {
    nonisolated var nextDeadline: ContinuousClock.Instant? {
        assumeIsolated { $0.deadlines.values.min() }
    }

    nonisolated func deadlinePassed(_ now: ContinuousClock.Instant) {
        assumeIsolated { $0.refuseOverdue(now) }
    }
}
