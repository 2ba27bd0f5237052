internal import Logging
internal import Synchronization

/// The pools and listeners of one process on the same database.
///
/// If the server refuses a pool another connection, the pool takes the slot of an idle connection of another pool. If a
/// server falls silent, all of them drop their connections to it at once, because each connection would otherwise
/// have to find that out by itself. Until a connection to it can be opened again, the other hosts of the connection
/// string are tried first.
///
/// All of them must have the same reactor.
public final class PoolGroup: Sendable {
    private struct Member {
        weak var owner: (any ConnectionOwner)?
    }

    private let members = Mutex<[Member]>([])
    /// The servers that fell silent, and to which no connection has been opened since.
    private let silent = Mutex<Set<ServerAddress>>([])
    /// Whether a pooler was found between the process and the server.
    let isPooled = Atomic(false)

    /// Creates an empty group.
    public init() {}

    func join(_ owner: any ConnectionOwner) {
        members.withLock { members in
            members.removeAll { $0.owner == nil }
            let isSameReactor = members.allSatisfy { $0.owner == nil || $0.owner?.reactor === owner.reactor }
            precondition(isSameReactor, "all pools and listeners of a group have the same reactor")
            members.append(Member(owner: owner))
        }
    }

    private var owners: [any ConnectionOwner] { members.withLock { $0.compactMap(\.owner) } }

    /// Closes an idle connection of another pool.
    ///
    /// - Returns: Whether another pool had an idle connection.
    func closeOneIdle(except requester: PoolDriver) async -> Bool {
        for owner in owners where owner !== requester {
            if let driver = owner as? PoolDriver, await driver.closeOneIdle() { return true }
        }
        return false
    }

    // MARK: Silent servers

    /// Drops all connections to a server that did not respond to a ping.
    ///
    /// A server that serves its sessions may still not respond to a ping, for example if too many clients connect at
    /// the same time. Therefore nothing is dropped if anything has arrived from it since the ping, on any connection.
    ///
    /// Must be called on the reactor's thread. When it returns, no pool lends a connection to the server any more.
    ///
    /// - Parameter sentAt: The time at which the ping was sent.
    /// - Returns: Whether the server is silent.
    func dropIfSilent(_ server: ServerAddress, sentAt: ContinuousClock.Instant, logger: Logger) -> Bool {
        let owners = owners
        guard owners.compactMap({ $0.heard(from: server) }).allSatisfy({ $0 <= sentAt }) else { return false }
        let isNew = silent.withLock { $0.insert(server).inserted }
        if isNew {
            logger.warning(
                "the server does not respond; dropping all connections to it", metadata: ["db.server": "\(server)"])
        }
        for owner in owners { owner.drop(server) }
        return true
    }

    /// Returns the target with silent servers after the others.
    func ordered(_ target: ConnectionTarget) -> ConnectionTarget {
        let servers = silent.withLock { $0 }
        return servers.isEmpty ? target : target.tryingLast(servers)
    }

    /// Records that a connection to a server was opened.
    func opened(_ server: ServerAddress) {
        silent.withLock { _ = $0.remove(server) }
    }
}
