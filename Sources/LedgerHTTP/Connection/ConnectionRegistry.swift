internal import NIOCore
internal import Synchronization

/// The open connections of a server.
///
/// It records which connections are idle and which clients have disconnected. A server that accepts no new connection
/// while idle ones are open would keep out clients that have requests. At its limit it therefore closes the connections
/// that have been idle for longest. If none is idle, it refuses the new one.
final class ConnectionRegistry: Sendable {
    /// One connection. Its event loop updates it; any thread may read it.
    final class Connection: Sendable {
        private struct ClientState {
            var isGone = false
            var nextNumber = 0
            /// The number of open streams of HTTP/2.
            var streamCount = 0
            var handlers: [Int: @Sendable () -> Void] = [:]
        }

        /// The time after which a client that has closed its output counts as gone.
        ///
        /// A closed connection cannot be detected in any other way while its response is still being made. A client
        /// that closed only its output can read small responses within this time.
        private static let halfClosedTime = TimeAmount.seconds(1)
        private static let busy = UInt64.max

        fileprivate let channel: any Channel
        /// When it became idle, as the uptime in nanoseconds; `busy` during a request.
        private let idleSince = Atomic<UInt64>(NIODeadline.now().uptimeNanoseconds)
        private let client = Mutex(ClientState())
        private let registry: ConnectionRegistry
        /// The connection of a stream of HTTP/2; nil for a connection.
        private let parent: Connection?
        /// Whether it will be closed to make room. Only used with the registry's lock.
        fileprivate let isEvicted = Atomic(false)
        /// Whether the registry had room for it.
        let isAccepted: Bool

        fileprivate init(
            _ channel: any Channel, of parent: Connection?, in registry: ConnectionRegistry, isAccepted: Bool
        ) {
            self.channel = channel
            self.parent = parent
            self.registry = registry
            self.isAccepted = isAccepted
            parent?.changeStreamCount(by: 1)
        }

        /// Counts the streams of this connection, which is busy while it has one.
        private func changeStreamCount(by change: Int) {
            isBusy = client.withLock { client in
                client.streamCount += change
                return client.streamCount > 0
            }
        }

        /// The client's address, or that of the proxy before it.
        var remoteAddress: SocketAddress? { channel.remoteAddress }

        /// Whether a request is in progress.
        var isBusy: Bool {
            get { idleSince.load(ordering: .relaxed) == Self.busy }
            set {
                idleSince.store(newValue ? Self.busy : NIODeadline.now().uptimeNanoseconds, ordering: .relaxed)
            }
        }

        /// When it became idle, as the uptime in nanoseconds; nil during a request.
        var idleStart: UInt64? {
            let start = idleSince.load(ordering: .relaxed)
            return start == Self.busy ? nil : start
        }

        /// Records that the client has closed its output.
        func inputClosed(on loop: any EventLoop) {
            loop.scheduleTask(in: Self.halfClosedTime) { self.clientLeft() }
        }

        /// Records that the connection is closed. Further calls have no effect.
        func closed() {
            guard registry.close(self) else { return }
            parent?.changeStreamCount(by: -1)
            clientLeft()
        }

        private func clientLeft() {
            let handlers = client.withLock { client in
                client.isGone = true
                defer { client.handlers = [:] }
                return client.handlers
            }
            for handler in handlers.values { handler() }
        }

        /// Runs a closure once when the client disconnects; at once if it already has.
        ///
        /// - Returns: The number with which ``forget(_:)`` removes the closure.
        func whenGone(_ body: @escaping @Sendable () -> Void) -> Int {
            let number: Int? = client.withLock { client in
                guard !client.isGone else { return nil }
                client.nextNumber += 1
                client.handlers[client.nextNumber] = body
                return client.nextNumber
            }
            if number == nil { body() }
            return number ?? 0
        }

        func forget(_ number: Int) {
            client.withLock { $0.handlers[number] = nil }
        }
    }

    private let connectionsMax: Int
    private let connections = Mutex<[ObjectIdentifier: Connection]>([:])

    init(connectionsMax: Int) {
        self.connectionsMax = connectionsMax
    }

    /// The number of open connections.
    var count: Int { connections.withLock { $0.count } }

    /// The connection of a channel; nil if it is closed.
    func connection(of channel: any Channel) -> Connection? {
        connections.withLock { $0[ObjectIdentifier(channel)] }
    }

    /// Registers a new connection, and makes room for it.
    ///
    /// A stream of HTTP/2 counts like a connection, because it may have a request in progress.
    ///
    /// - Parameter parent: The connection of the stream.
    func open(_ channel: any Channel, in parent: Connection? = nil) -> Connection {
        let (connection, evicted) = connections.withLock { connections in
            let isFull = connections.count >= connectionsMax
            let evicted =
                isFull ? Self.longestIdle(connections.values, except: parent, atMost: 1 + connectionsMax / 64) : []
            for connection in evicted { connection.isEvicted.store(true, ordering: .relaxed) }
            let connection = Connection(
                channel, of: parent, in: self, isAccepted: !isFull || !evicted.isEmpty)
            connections[ObjectIdentifier(channel)] = connection
            return (connection, evicted)
        }
        for connection in evicted {
            // A request may have arrived in the meantime.
            connection.channel.eventLoop.execute {
                guard connection.isBusy else { return connection.channel.close(promise: nil) }
                connection.isEvicted.store(false, ordering: .relaxed)
            }
        }
        return connection
    }

    /// The connections that have been idle for longest.
    ///
    /// It returns several at a time, because each call examines all connections.
    private static func longestIdle(
        _ connections: some Sequence<Connection>, except parent: Connection?, atMost count: Int
    ) -> [Connection] {
        let idle = connections.compactMap { connection in
            connection === parent || connection.isEvicted.load(ordering: .relaxed)
                ? nil : connection.idleStart.map { (connection, $0) }
        }
        return idle.sorted { $0.1 < $1.1 }.prefix(count).map(\.0)
    }

    /// Removes a connection.
    ///
    /// - Returns: Whether it was registered.
    private func close(_ connection: Connection) -> Bool {
        connections.withLock { connections in
            let key = ObjectIdentifier(connection.channel)
            guard connections[key] === connection else { return false }
            connections[key] = nil
            return true
        }
    }
}
