internal import Synchronization

/// The pools of one process on the same database server, which help each other.
///
/// A pool that the server refuses another connection takes one that rests in another pool; and if one of them finds the
/// server silent, all drop the connections that rest, since each would otherwise be found silent by itself.
public final class PoolGroup: Sendable {
    private struct Member {
        weak var lender: Lender?
    }

    private let members = Mutex<[Member]>([])

    public init() {}

    func join(_ lender: Lender) {
        members.withLock { members in
            members.removeAll { $0.lender == nil }
            members.append(Member(lender: lender))
        }
    }

    private var lenders: [Lender] { members.withLock { $0.compactMap(\.lender) } }

    /// Closes a connection that rests in another pool.
    ///
    /// - Returns: Whether there was one.
    func giveBackOne(except asking: Lender) async -> Bool {
        for lender in lenders where lender !== asking {
            if await lender.closeOneIdle() { return true }
        }
        return false
    }

    /// Closes all connections that rest: the server does not answer.
    func dropIdle() async {
        for lender in lenders { await lender.closeAllIdle() }
    }
}
