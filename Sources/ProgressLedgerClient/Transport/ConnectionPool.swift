import NIOCore
import NIOPosix
import Synchronization

/// A bounded pool of kept-alive connections to one server.
///
/// Waiting requests are served in the order of their arrival.
final class ConnectionPool: Sendable {
    private enum Assignment: Sendable {
        case use(HTTPConnection)
        case connect
    }

    private typealias State = ConnectionPoolState<HTTPConnection, EventLoopPromise<Assignment>>

    private let address: ServerAddress
    private let tls: ClientTLS?
    private let group: MultiThreadedEventLoopGroup
    private let state: Mutex<State>
    private let waitersMax: Int

    init(address: ServerAddress, settings: LedgerClient.Settings) {
        self.address = address
        self.tls = address.isSecure ? ClientTLS(caFile: settings.caFile, certificate: settings.certificate) : nil
        self.group = MultiThreadedEventLoopGroup.singleton
        self.waitersMax = settings.waitersMax
        self.state = Mutex(
            State(
                connectionsMax: settings.connectionsMax, waitersMax: settings.waitersMax,
                idleMax: settings.connectionIdleMax))
    }

    /// The number of connections in use, idle or being opened.
    var connectionCount: Int { state.withLock(\.connectionCount) }

    /// Returns a connection for exclusive use until ``release(_:)`` or ``discard(_:)``.
    func acquire(deadline: ContinuousClock.Instant) async throws(TransportError) -> HTTPConnection {
        let eventLoop = group.next()
        let (grant, expired) = state.withLock { state in
            var expired: [HTTPConnection] = []
            let grant = state.acquire(
                eventLoop.makePromise(of: Assignment.self), now: .now, isOpen: \.isOpen, expired: &expired)
            return (grant, expired)
        }
        for connection in expired { connection.close() }
        switch grant {
        case .use(let connection): return connection
        case .connect: return try await connect(deadline: deadline)
        case .refuse: throw .tooManyWaiting(waitersMax)
        case .closed: throw .notConnected("the client was closed")
        case .wait(let assignment, let waiterID):
            switch try await wait(for: assignment.futureResult, waiterID: waiterID, deadline: deadline) {
            case .use(let connection): return connection
            case .connect: return try await connect(deadline: deadline)
            }
        }
    }

    /// Returns a connection to the pool after a complete exchange.
    func release(_ connection: HTTPConnection) {
        guard connection.isOpen else { return discard(connection) }
        settle(state.withLock { $0.release(connection, now: .now) })
    }

    /// Closes a connection that must not be used again, and frees its slot.
    func discard(_ connection: HTTPConnection) {
        connection.close()
        settle(state.withLock { $0.discard() })
    }

    /// Closes idle connections now and the others when they are returned.
    func close() {
        let (idle, waiters) = state.withLock { $0.close() }
        for connection in idle { connection.close() }
        for waiter in waiters { waiter.fail(TransportError.notConnected("the client was closed")) }
    }

    private func connect(deadline: ContinuousClock.Instant) async throws(TransportError) -> HTTPConnection {
        do {
            return try await HTTPConnection.connect(to: address, tls, on: group, deadline: deadline)
        } catch {
            settle(state.withLock { $0.discard() })
            throw error
        }
    }

    private func wait(
        for assignment: EventLoopFuture<Assignment>, waiterID: UInt64, deadline: ContinuousClock.Instant
    ) async throws(TransportError) -> Assignment {
        let timer = assignment.eventLoop.scheduleTask(deadline: NIODeadline(deadline)) {
            self.abandon(waiterID, .deadlineExceeded(mayHaveBeenSent: false))
        }
        defer { timer.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await assignment.get()
            } onCancel: {
                abandon(waiterID, .cancelled(mayHaveBeenSent: false))
            }
        } catch {
            throw error as? TransportError ?? .notConnected(String(describing: error))
        }
    }

    private func abandon(_ waiterID: UInt64, _ error: TransportError) {
        state.withLock { $0.abandon(waiterID: waiterID) }?.fail(error)
    }

    private func settle(_ freed: State.Freed) {
        switch freed {
        case .none: break
        case .assign(let connection, let waiter): waiter.succeed(.use(connection))
        case .allowConnect(let waiter): waiter.succeed(.connect)
        case .close(let connection): connection.close()
        }
    }
}
