import NIOCore
import NIOPosix
import Synchronization

/// A bounded number of kept-alive connections to one server, first come, first served.
final class ConnectionPool: Sendable {
    private enum Turn: Sendable {
        case use(HTTPConnection)
        case connect
    }

    private typealias State = ConnectionPoolState<HTTPConnection, EventLoopPromise<Turn>>

    private let address: ServerAddress
    private let group: MultiThreadedEventLoopGroup
    private let state: Mutex<State>
    private let waitersMax: Int

    init(address: ServerAddress, settings: LedgerClient.Settings) {
        self.address = address
        self.group = MultiThreadedEventLoopGroup.singleton
        self.waitersMax = settings.waitersMax
        self.state = Mutex(
            State(
                connectionsMax: settings.connectionsMax, waitersMax: settings.waitersMax,
                idleMax: settings.connectionIdleMax))
    }

    /// Connections in use, idle or being made.
    var connectionCount: Int { state.withLock(\.connectionCount) }

    /// A connection of which the caller is the only user until ``release(_:)``.
    func acquire(deadline: ContinuousClock.Instant) async throws(TransportError) -> HTTPConnection {
        let eventLoop = group.next()
        let (grant, expired) = state.withLock { state in
            var expired: [HTTPConnection] = []
            let grant = state.acquire(
                eventLoop.makePromise(of: Turn.self), now: .now, isOpen: \.isOpen, expired: &expired)
            return (grant, expired)
        }
        for connection in expired { connection.close() }
        switch grant {
        case .use(let connection): return connection
        case .connect: return try await connect(deadline: deadline)
        case .refuse: throw .tooManyWaiting(waitersMax)
        case .closed: throw .notConnected("the client was closed")
        case .wait(let turn, let ticket):
            switch try await wait(for: turn.futureResult, ticket: ticket, deadline: deadline) {
            case .use(let connection): return connection
            case .connect: return try await connect(deadline: deadline)
            }
        }
    }

    /// Gives a connection back after a complete exchange.
    func release(_ connection: HTTPConnection) {
        guard connection.isOpen else { return discard(connection) }
        settle(state.withLock { $0.release(connection, now: .now) })
    }

    /// Gives a connection back that must not be used again, and closes it.
    func discard(_ connection: HTTPConnection) {
        connection.close()
        settle(state.withLock { $0.discard() })
    }

    /// Closes idle connections now and the others when they are given back.
    func close() {
        let (idle, waiters) = state.withLock { $0.close() }
        for connection in idle { connection.close() }
        for waiter in waiters { waiter.fail(TransportError.notConnected("the client was closed")) }
    }

    private func connect(deadline: ContinuousClock.Instant) async throws(TransportError) -> HTTPConnection {
        do {
            return try await HTTPConnection.connect(to: address, on: group, deadline: deadline)
        } catch {
            settle(state.withLock { $0.discard() })
            throw error
        }
    }

    private func wait(
        for turn: EventLoopFuture<Turn>, ticket: UInt64, deadline: ContinuousClock.Instant
    ) async throws(TransportError) -> Turn {
        let timer = turn.eventLoop.scheduleTask(deadline: NIODeadline(deadline)) {
            self.abandon(ticket, .deadlineExceeded(mayHaveBeenSent: false))
        }
        defer { timer.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await turn.get()
            } onCancel: {
                abandon(ticket, .cancelled(mayHaveBeenSent: false))
            }
        } catch {
            throw error as? TransportError ?? .notConnected(String(describing: error))
        }
    }

    private func abandon(_ ticket: UInt64, _ error: TransportError) {
        state.withLock { $0.abandon(ticket: ticket) }?.fail(error)
    }

    private func settle(_ freed: State.Freed) {
        switch freed {
        case .none: break
        case .hand(let connection, let waiter): waiter.succeed(.use(connection))
        case .letConnect(let waiter): waiter.succeed(.connect)
        case .close(let connection): connection.close()
        }
    }
}
