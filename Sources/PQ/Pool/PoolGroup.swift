internal import Synchronization

/// The pools of one process on the same database server.
///
/// If the server refuses a pool another connection, the pool takes the slot of an idle connection of another pool. If
/// one pool finds the server unresponsive, all pools drop their idle connections, because each of them would otherwise
/// have to find that out by itself.
public final class PoolGroup: Sendable {
    private struct Member {
        weak var driver: PoolDriver?
    }

    private let members = Mutex<[Member]>([])
    /// Whether a pooler was found between the process and the server.
    let isPooled = Atomic(false)

    /// Creates an empty group.
    public init() {}

    func join(_ driver: PoolDriver) {
        members.withLock { members in
            members.removeAll { $0.driver == nil }
            members.append(Member(driver: driver))
        }
    }

    private var drivers: [PoolDriver] { members.withLock { $0.compactMap(\.driver) } }

    /// Closes an idle connection of another pool.
    ///
    /// - Returns: Whether another pool had an idle connection.
    func closeOneIdle(except requester: PoolDriver) async -> Bool {
        for driver in drivers where driver !== requester {
            if await driver.closeOneIdle() { return true }
        }
        return false
    }

    /// Closes all idle connections, because the server does not respond.
    func closeAllIdle() async {
        for driver in drivers { await driver.closeAllIdle() }
    }
}
