/// The decisions of a pool of connections: who gets which, who waits, what is closed. Does nothing itself.
struct ConnectionPoolState<Connection, Waiter> {
    /// What becomes of a request for a connection.
    enum Grant {
        /// An idle one is free.
        case use(Connection)
        /// There is room: make one. Must be followed by ``release(_:now:)`` or ``discard()``.
        case connect
        /// All are in use: the waiter is told.
        case wait(Waiter, ticket: UInt64)
        /// All are in use and too many wait.
        case refuse
        /// The pool is closed.
        case closed
    }

    /// What becomes of a place that is free again.
    enum Freed {
        /// Nobody waits.
        case none
        /// This one takes the connection.
        case hand(Connection, to: Waiter)
        /// This one may make a connection.
        case letConnect(Waiter)
        /// The pool is closed or full of idle ones: close it.
        case close(Connection)
    }

    private let connectionsMax: Int
    private let waitersMax: Int
    private let idleMax: Duration
    private var idle: [(connection: Connection, since: ContinuousClock.Instant)] = []
    private var waiters: [(ticket: UInt64, waiter: Waiter)] = []
    private var places = 0
    private var lastTicket: UInt64 = 0
    private var isClosed = false

    init(connectionsMax: Int, waitersMax: Int, idleMax: Duration) {
        self.connectionsMax = connectionsMax
        self.waitersMax = waitersMax
        self.idleMax = idleMax
    }

    /// Connections in use, idle or being made.
    var connectionCount: Int { places }

    /// Asks for a connection. The newest idle one is taken first, so that the surplus grows old and goes.
    ///
    /// - Parameters:
    ///   - makeWaiter: Called only where the request has to wait.
    ///   - now: The time.
    ///   - isOpen: Whether an idle connection still stands, as far as is known.
    ///   - expired: Receives idle connections that are broken or too old: close them.
    mutating func acquire(
        _ makeWaiter: @autoclosure () -> Waiter, now: ContinuousClock.Instant, isOpen: (Connection) -> Bool,
        expired: inout [Connection]
    ) -> Grant {
        guard !isClosed else { return .closed }
        while let candidate = idle.popLast() {
            guard isOpen(candidate.connection), candidate.since.duration(to: now) < idleMax else {
                places -= 1
                expired.append(candidate.connection)
                continue
            }
            return .use(candidate.connection)
        }
        if places < connectionsMax {
            places += 1
            return .connect
        }
        guard waiters.count < waitersMax else { return .refuse }
        lastTicket += 1
        let waiter = makeWaiter()
        waiters.append((lastTicket, waiter))
        return .wait(waiter, ticket: lastTicket)
    }

    /// Gives back a connection that can carry another exchange.
    mutating func release(_ connection: Connection, now: ContinuousClock.Instant) -> Freed {
        if isClosed {
            places -= 1
            return .close(connection)
        }
        if !waiters.isEmpty { return .hand(connection, to: waiters.removeFirst().waiter) }
        idle.append((connection, now))
        return .none
    }

    /// Says that a connection is gone, or could not be made.
    mutating func discard() -> Freed {
        // The place passes to the one who has waited longest.
        if !waiters.isEmpty { return .letConnect(waiters.removeFirst().waiter) }
        places -= 1
        return .none
    }

    /// Takes back a wait; nil where it was granted already.
    mutating func abandon(ticket: UInt64) -> Waiter? {
        guard let index = waiters.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return waiters.remove(at: index).waiter
    }

    /// Closes the pool: what is idle is to be closed now, what is in use when it comes back.
    mutating func close() -> (idle: [Connection], waiters: [Waiter]) {
        isClosed = true
        defer {
            places -= idle.count
            idle = []
            waiters = []
        }
        return (idle.map(\.connection), waiters.map(\.waiter))
    }
}
