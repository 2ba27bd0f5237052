internal import DequeModule

/// The pure state machine of a connection pool.
///
/// It decides which caller gets which connection, and when a connection is opened. `Handle` is a connection, `Waiter`
/// is a caller that waits for one. Each input returns the action that the pool must take.
struct PoolState<Handle, Waiter> {
    /// The action that the pool must take.
    enum Action {
        /// Lends this connection to the caller.
        case lend(Handle)
        /// Opens a connection, then calls ``connected()`` or ``connectFailed()``.
        case connect
        /// Queues the caller until it is served or its deadline passes.
        case wait
        /// Refuses the caller because this many callers wait already.
        case refuse(waiting: Int)
        /// Refuses the caller because the pool is closed.
        case refuseClosed
    }

    let connectionsMax: Int
    let waitersMax: Int
    /// The current maximum number of connections, at most ``connectionsMax``.
    ///
    /// It is lower while the server gives no more.
    private(set) var connectionLimit: Int
    private(set) var idle: Deque<Handle> = []
    private(set) var lentCount = 0
    private(set) var connectingCount = 0
    private(set) var isClosed = false
    private var waiters: Deque<(id: Int, waiter: Waiter)> = []
    private var lastWaiterID = 0

    init(connectionsMax: Int, waitersMax: Int) {
        self.connectionsMax = connectionsMax
        connectionLimit = connectionsMax
        self.waitersMax = waitersMax
    }

    /// The number of connections that are idle, lent or being opened.
    var connectionCount: Int { idle.count + lentCount + connectingCount }
    /// The number of callers that wait.
    var waiterCount: Int { waiters.count }

    /// Handles a caller that needs a connection.
    ///
    /// The connection used most recently is lent first, so the others become idle long enough to be closed.
    mutating func acquire() -> Action {
        if isClosed { return .refuseClosed }
        if let handle = idle.popLast() {
            lentCount += 1
            return .lend(handle)
        }
        if connectionCount < connectionLimit {
            connectingCount += 1
            return .connect
        }
        return waiters.count < waitersMax ? .wait : .refuse(waiting: waiters.count)
    }

    /// Returns an id that identifies a waiter when it gives up.
    mutating func makeWaiterID() -> Int {
        lastWaiterID += 1
        return lastWaiterID
    }

    /// Appends a caller to the queue after ``acquire()`` returned `wait`.
    mutating func enqueue(_ waiter: Waiter, _ id: Int) {
        waiters.append((id, waiter))
    }

    /// Removes a waiter after its deadline passed or its task was cancelled.
    ///
    /// - Returns: The waiter, or nil if it was served already.
    mutating func removeWaiter(_ id: Int) -> Waiter? {
        guard let index = waiters.firstIndex(where: { $0.id == id }) else { return nil }
        return waiters.remove(at: index).waiter
    }

    /// Records that a connection was opened and lent to its caller.
    mutating func connected() {
        connectingCount -= 1
        lentCount += 1
    }

    /// Lends an idle connection to a caller that is opening one; nil if none is idle.
    mutating func takeIdleInsteadOfConnecting() -> Handle? {
        guard let handle = idle.popLast() else { return nil }
        connectingCount -= 1
        lentCount += 1
        return handle
    }

    /// Records that the server refused a connection because its limit is reached.
    ///
    /// Until ``liftLimit()`` no more connections are opened than there are now.
    ///
    /// - Returns: Whether the caller must now wait for a lent connection. False if none is lent or the queue is full.
    mutating func connectRefused() -> Bool {
        guard !isClosed, lentCount > 0, waiters.count < waitersMax else { return false }
        connectingCount -= 1
        connectionLimit = min(connectionLimit, idle.count + lentCount)
        return true
    }

    /// Allows as many connections again as the settings do.
    mutating func liftLimit() {
        connectionLimit = connectionsMax
    }

    /// Records that a connection could not be opened.
    ///
    /// - Returns: The next waiter, which may open a connection in the slot that became free.
    mutating func connectFailed() -> Waiter? {
        connectingCount -= 1
        return takeWaiterToConnect()
    }

    /// Takes back a usable connection, for the longest waiter or as idle.
    ///
    /// - Returns: The waiter to lend it to, if any, and whether to close the connection instead.
    mutating func release(_ handle: Handle) -> (waiter: Waiter?, shouldClose: Bool) {
        lentCount -= 1
        if isClosed { return (nil, true) }
        if let next = waiters.popFirst() {
            lentCount += 1
            return (next.waiter, false)
        }
        idle.append(handle)
        return (nil, false)
    }

    /// Records that a lent connection cannot be used again.
    ///
    /// - Returns: The next waiter, which may open a connection in the slot that became free.
    mutating func discard() -> Waiter? {
        lentCount -= 1
        return takeWaiterToConnect()
    }

    /// Removes and returns the connection that has been idle longest.
    mutating func removeOneIdle() -> Handle? { idle.popFirst() }

    /// Removes and returns the idle connections that the closure selects.
    mutating func removeIdle(where shouldRemove: (Handle) -> Bool) -> [Handle] {
        let removed = Array(idle.filter(shouldRemove))
        idle.removeAll(where: shouldRemove)
        return removed
    }

    /// Closes the pool and returns the waiters and the idle connections.
    mutating func close() -> (waiters: [Waiter], idle: [Handle]) {
        isClosed = true
        defer {
            waiters = []
            idle = []
        }
        return (waiters.map(\.waiter), Array(idle))
    }

    private mutating func takeWaiterToConnect() -> Waiter? {
        guard !isClosed, let next = waiters.popFirst() else { return nil }
        connectingCount += 1
        return next.waiter
    }
}
