/// The state and the decisions of a connection pool, without input or output.
struct ConnectionPoolState<Connection, Waiter> {
    /// The decision on a request for a connection.
    enum Grant {
        /// Use this idle connection.
        case use(Connection)
        /// Open a new connection.
        ///
        /// ``release(_:now:)`` or ``discard()`` must follow.
        case connect
        /// Wait, because all connections are in use.
        case wait(Waiter, waiterID: UInt64)
        /// Refuse, because all connections are in use and too many requests wait.
        case refuse
        /// The pool is closed.
        case closed
    }

    /// The decision on a connection or a slot that became free.
    enum Freed {
        /// Do nothing, because no request waits.
        case none
        /// Assign the connection to this waiter.
        case assign(Connection, to: Waiter)
        /// Allow this waiter to open a connection.
        case allowConnect(Waiter)
        /// Close the connection, because the pool is closed.
        case close(Connection)
    }

    private let connectionsMax: Int
    private let waitersMax: Int
    private let idleMax: Duration
    private var idle: [(connection: Connection, since: ContinuousClock.Instant)] = []
    private var waiters: [(waiterID: UInt64, waiter: Waiter)] = []
    private var slotsInUse = 0
    private var lastWaiterID: UInt64 = 0
    private var isClosed = false

    init(connectionsMax: Int, waitersMax: Int, idleMax: Duration) {
        self.connectionsMax = connectionsMax
        self.waitersMax = waitersMax
        self.idleMax = idleMax
    }

    /// The number of connections in use, idle or being opened.
    var connectionCount: Int { slotsInUse }

    /// Requests a connection.
    ///
    /// The newest idle connection is used first, so that surplus connections expire.
    ///
    /// - Parameters:
    ///   - makeWaiter: Called only if the request must wait.
    ///   - now: The time.
    ///   - isOpen: Returns whether an idle connection is believed to be open.
    ///   - expired: Receives idle connections that are broken or too old. The caller must close them.
    mutating func acquire(
        _ makeWaiter: @autoclosure () -> Waiter, now: ContinuousClock.Instant, isOpen: (Connection) -> Bool,
        expired: inout [Connection]
    ) -> Grant {
        guard !isClosed else { return .closed }
        while let candidate = idle.popLast() {
            guard isOpen(candidate.connection), candidate.since.duration(to: now) < idleMax else {
                slotsInUse -= 1
                expired.append(candidate.connection)
                continue
            }
            return .use(candidate.connection)
        }
        if slotsInUse < connectionsMax {
            slotsInUse += 1
            return .connect
        }
        guard waiters.count < waitersMax else { return .refuse }
        lastWaiterID += 1
        let waiter = makeWaiter()
        waiters.append((lastWaiterID, waiter))
        return .wait(waiter, waiterID: lastWaiterID)
    }

    /// Returns a connection that can carry another exchange.
    mutating func release(_ connection: Connection, now: ContinuousClock.Instant) -> Freed {
        if isClosed {
            slotsInUse -= 1
            return .close(connection)
        }
        if !waiters.isEmpty { return .assign(connection, to: waiters.removeFirst().waiter) }
        idle.append((connection, now))
        return .none
    }

    /// Frees the slot of a connection that is closed or could not be opened.
    mutating func discard() -> Freed {
        // The slot goes to the request that has waited longest.
        if !waiters.isEmpty { return .allowConnect(waiters.removeFirst().waiter) }
        slotsInUse -= 1
        return .none
    }

    /// Removes a waiter and returns it; nil if it has its connection already.
    mutating func abandon(waiterID: UInt64) -> Waiter? {
        guard let index = waiters.firstIndex(where: { $0.waiterID == waiterID }) else { return nil }
        return waiters.remove(at: index).waiter
    }

    /// Closes the pool.
    ///
    /// The caller must close the idle connections now. Connections in use are closed when they are returned.
    mutating func close() -> (idle: [Connection], waiters: [Waiter]) {
        isClosed = true
        defer {
            slotsInUse -= idle.count
            idle = []
            waiters = []
        }
        return (idle.map(\.connection), waiters.map(\.waiter))
    }
}
