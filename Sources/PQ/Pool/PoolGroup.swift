internal import Synchronization

/// The pools of one process on the same database server, which help each other.
///
/// A pool that the server refuses another connection takes one that rests in another pool; and if one of them finds the
/// server silent, all drop the connections that rest, since each would otherwise be found silent by itself.
public final class PoolGroup: Sendable {
    private struct Member {
        weak var driver: PoolDriver?
    }

    private let members = Mutex<[Member]>([])

    public init() {}

    func join(_ driver: PoolDriver) {
        members.withLock { members in
            members.removeAll { $0.driver == nil }
            members.append(Member(driver: driver))
        }
    }

    private var drivers: [PoolDriver] { members.withLock { $0.compactMap(\.driver) } }

    /// Closes a connection that rests in another pool.
    ///
    /// - Returns: Whether there was one.
    func giveBackOne(except asking: PoolDriver) async -> Bool {
        for driver in drivers where driver !== asking {
            if await driver.closeOneIdle() { return true }
        }
        return false
    }

    /// Closes all connections that rest: the server does not answer.
    func dropIdle() async {
        for driver in drivers { await driver.closeAllIdle() }
    }
}
