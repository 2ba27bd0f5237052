/// The decisions of a pool, without its effects: who gets which connection, and when one is made.
///
/// `Handle` is a connection; `Waiter` is somebody who waits for one. Each input returns what is to be done.
struct PoolState<Handle, Waiter> {
    /// What the pool is to do.
    enum Action {
        /// Lend this connection.
        case lend(Handle)
        /// Make a connection; then call ``connected(_:)`` or ``connectFailed()``.
        case connect
        /// Let the caller wait, until it is called or its time is over.
        case wait
        /// Refuse: this many wait already.
        case refuse(waiting: Int)
        /// Refuse: the pool is closed.
        case refuseClosed
    }

    let connectionsMax: Int
    let waitersMax: Int
    private(set) var idle: [Handle] = []
    private(set) var lentCount = 0
    private(set) var connectingCount = 0
    private(set) var isClosed = false
    private var waiters: [(number: Int, waiter: Waiter)] = []
    private var nextNumber = 0

    init(connectionsMax: Int, waitersMax: Int) {
        self.connectionsMax = connectionsMax
        self.waitersMax = waitersMax
    }

    /// All connections: idle, lent or being made.
    var connectionCount: Int { idle.count + lentCount + connectingCount }
    /// How many wait.
    var waiterCount: Int { waiters.count }

    /// Somebody wants a connection. The one used last is lent first, so that the others may rest.
    mutating func acquire() -> Action {
        if isClosed { return .refuseClosed }
        if let handle = idle.popLast() {
            lentCount += 1
            return .lend(handle)
        }
        if connectionCount < connectionsMax {
            connectingCount += 1
            return .connect
        }
        return waiters.count < waitersMax ? .wait : .refuse(waiting: waiters.count)
    }

    /// A number by which a caller that is told to wait can stop waiting.
    mutating func newWaiterNumber() -> Int {
        nextNumber += 1
        return nextNumber
    }

    /// The caller that was told to wait does so.
    mutating func enqueue(_ waiter: Waiter, _ number: Int) {
        waiters.append((number, waiter))
    }

    /// A waiter's time is over, or it was cancelled. Returns it unless it was called in the meantime.
    mutating func removeWaiter(_ number: Int) -> Waiter? {
        guard let index = waiters.firstIndex(where: { $0.number == number }) else { return nil }
        return waiters.remove(at: index).waiter
    }

    /// A connection was made for a caller, who has it now.
    mutating func connected() {
        connectingCount -= 1
        lentCount += 1
    }

    /// A caller that waits for a new connection takes one that has come to rest meanwhile; nil if there is none.
    mutating func takeIdleInstead() -> Handle? {
        guard let handle = idle.popLast() else { return nil }
        connectingCount -= 1
        lentCount += 1
        return handle
    }

    /// A connection could not be made because the server has no more; its caller waits for one that is lent.
    ///
    /// - Returns: Whether there is one to wait for, and room to wait.
    mutating func connectRefused() -> Bool {
        guard !isClosed, lentCount > 0, waiters.count < waitersMax else { return false }
        connectingCount -= 1
        return true
    }

    /// A connection could not be made. Returns a waiter who may try in its place, since one place is free again.
    mutating func connectFailed() -> Waiter? {
        connectingCount -= 1
        return callForNewConnection()
    }

    /// A connection comes back in good order: to the one who has waited longest, or to rest. Returns the waiter to lend
    /// it to, and whether it is to be closed instead.
    mutating func release(_ handle: Handle) -> (waiter: Waiter?, isToBeClosed: Bool) {
        lentCount -= 1
        if isClosed { return (nil, true) }
        if let next = waiters.first {
            waiters.removeFirst()
            lentCount += 1
            return (next.waiter, false)
        }
        idle.append(handle)
        return (nil, false)
    }

    /// A lent connection is of no more use. Returns a waiter who may have a new one made, since its place is free.
    mutating func discard() -> Waiter? {
        lentCount -= 1
        return callForNewConnection()
    }

    /// Takes the idle connection out that has rested longest.
    mutating func removeOneIdle() -> Handle? { idle.isEmpty ? nil : idle.removeFirst() }

    /// Takes the idle connections out that are of no more use.
    mutating func removeIdle(where isUseless: (Handle) -> Bool) -> [Handle] {
        let useless = idle.filter(isUseless)
        idle.removeAll(where: isUseless)
        return useless
    }

    /// Nobody gets a connection any more. Returns those who wait, and the connections at rest.
    mutating func close() -> (waiters: [Waiter], idle: [Handle]) {
        isClosed = true
        defer {
            waiters = []
            idle = []
        }
        return (waiters.map(\.waiter), idle)
    }

    private mutating func callForNewConnection() -> Waiter? {
        guard !isClosed, let next = waiters.first else { return nil }
        waiters.removeFirst()
        connectingCount += 1
        return next.waiter
    }
}
