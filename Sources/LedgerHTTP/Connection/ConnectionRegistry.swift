internal import NIOCore
internal import Synchronization

/// All connections of a server: which are idle, which is one too many, and whose client has gone.
///
/// A server that takes no more connections while idle ones are open would keep out clients that have something to ask. So
/// beyond its limit it closes the ones that have been idle for longest; where none is idle it refuses the new one.
final class ConnectionRegistry: Sendable {
    /// One connection. It is told what happens on its event loop; anybody may ask.
    final class Connection: Sendable {
        private struct Gone {
            var isGone = false
            var nextNumber = 0
            var bodies: [Int: @Sendable () -> Void] = [:]
        }

        /// How long after a client has said that it sends nothing more it counts as gone, while its response is still being
        /// made. A closed connection shows in no other way; a client that only closed its half reads small responses.
        private static let farewell = TimeAmount.seconds(1)
        private static let busy = UInt64.max

        fileprivate let channel: any Channel
        /// When it became idle, in nanoseconds of the system's clock; `busy` where a request is under way.
        private let idleSince = Atomic<UInt64>(NIODeadline.now().uptimeNanoseconds)
        private let gone = Mutex(Gone())
        private let registry: ConnectionRegistry
        /// Whether there was room for it.
        let isWelcome: Bool

        fileprivate init(_ channel: any Channel, in registry: ConnectionRegistry, isWelcome: Bool) {
            self.channel = channel
            self.registry = registry
            self.isWelcome = isWelcome
        }

        /// Whether a request is under way.
        var isBusy: Bool {
            get { idleSince.load(ordering: .relaxed) == Self.busy }
            set {
                idleSince.store(newValue ? Self.busy : NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
            }
        }

        /// When it became idle; nil where it is not.
        fileprivate var idleStart: UInt64? {
            let start = idleSince.load(ordering: .relaxed)
            return start == Self.busy ? nil : start
        }

        /// Notes that the client sends nothing more.
        func inputClosed(on loop: any EventLoop) {
            loop.scheduleTask(in: Self.farewell) { self.goes() }
        }

        /// Notes that it is closed.
        func closed() {
            registry.close(self)
            goes()
        }

        private func goes() {
            let bodies = gone.withLock { gone in
                gone.isGone = true
                defer { gone.bodies = [:] }
                return gone.bodies
            }
            for body in bodies.values { body() }
        }

        /// Runs a closure once if the client goes, until ``forget(_:)``; at once if it has gone.
        func whenGone(_ body: @escaping @Sendable () -> Void) -> Int {
            let number: Int? = gone.withLock { gone in
                guard !gone.isGone else { return nil }
                gone.nextNumber += 1
                gone.bodies[gone.nextNumber] = body
                return gone.nextNumber
            }
            if number == nil { body() }
            return number ?? 0
        }

        func forget(_ number: Int) {
            gone.withLock { $0.bodies[number] = nil }
        }
    }

    private let connectionsMax: Int
    private let connections = Mutex<[ObjectIdentifier: Connection]>([:])

    init(connectionsMax: Int) {
        self.connectionsMax = connectionsMax
    }

    /// How many are open.
    var count: Int { connections.withLock { $0.count } }

    /// The connection of a channel; nil where it is closed.
    func connection(of channel: any Channel) -> Connection? {
        connections.withLock { $0[ObjectIdentifier(channel)] }
    }

    /// Notes a new connection, and makes room for it.
    func open(_ channel: any Channel) -> Connection {
        let (connection, evicted) = connections.withLock { connections in
            let isFull = connections.count >= connectionsMax
            let evicted = isFull ? Self.longestIdle(connections.values, atMost: 1 + connectionsMax / 64) : []
            let connection = Connection(channel, in: self, isWelcome: !isFull || !evicted.isEmpty)
            connections[ObjectIdentifier(channel)] = connection
            return (connection, evicted)
        }
        for connection in evicted {
            // A request may have arrived meanwhile.
            connection.channel.eventLoop.execute {
                if !connection.isBusy { connection.channel.close(promise: nil) }
            }
        }
        return connection
    }

    /// The ones that have been idle for longest. Several at a time, since it looks at all of them.
    private static func longestIdle(_ connections: some Sequence<Connection>, atMost count: Int) -> [Connection] {
        let idle = connections.compactMap { connection in connection.idleStart.map { (connection, $0) } }
        return idle.sorted { $0.1 < $1.1 }.prefix(count).map(\.0)
    }

    private func close(_ connection: Connection) {
        connections.withLock { connections in
            let key = ObjectIdentifier(connection.channel)
            if connections[key] === connection { connections[key] = nil }
        }
    }
}
