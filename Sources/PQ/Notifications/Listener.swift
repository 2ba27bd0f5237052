public import Logging
internal import Synchronization

/// Listens to NOTIFY on a connection of its own, and makes another when it is lost.
///
/// Notifications are hints: some get lost with a connection. So whoever listens catches up by looking whenever it is
/// told ``Event/connected``.
public final class Listener: Sendable {
    /// What a listener tells.
    public enum Event: Sendable {
        /// The channels are listened to from now on, for the first time or again: look now at what was missed.
        case connected
        /// The connection was lost, or could not be made; another attempt follows.
        case disconnected(PQError)
        case notification(Notification)
    }

    /// Notifications that have not been taken yet; with more, they are dropped and ``Event/connected`` is told.
    private static let bufferedMax = 1_024
    /// The waits between attempts double from the first of these to the second.
    private static let backOff: (first: Duration, longest: Duration) = (.milliseconds(100), .seconds(10))
    /// How often a connection that is silent is asked whether it still lives.
    private static let checkInterval: Duration = .seconds(15)

    private let target: ConnectionTarget
    private let channels: [String]
    private let connectDeadline: Duration
    private let reactor: Reactor
    private let logger: Logger

    /// A listener for these channels, whose names are plain identifiers.
    public init(
        target: ConnectionTarget, channels: [String], connectDeadline: Duration = .seconds(5),
        applicationName: String = "progress-ledger listener", reactor: Reactor = .shared, logger: Logger
    ) {
        self.target = target.setting("fallback_application_name", applicationName)
        self.channels = channels
        self.connectDeadline = connectDeadline
        self.reactor = reactor
        self.logger = logger
    }

    /// Listens until the task is cancelled, and tells one event after the other.
    public func run(_ handle: (Event) async -> Void) async {
        var wait = Self.backOff.first
        while !Task.isCancelled {
            do throws(PQError) {
                try await listen(handle) { wait = Self.backOff.first }
            } catch {
                if error.code == .cancelled || Task.isCancelled { return }
                await handle(.disconnected(error))
            }
            // A little chance, so that not all listeners of a server that comes back come at once.
            let jittered = wait * Double.random(in: 0.5...1)
            wait = min(wait * 2, Self.backOff.longest)
            do { try await Task.sleep(for: jittered) } catch { return }
        }
    }

    private func listen(_ handle: (Event) async -> Void, onConnected: () -> Void) async throws(PQError) {
        let (incoming, sink) = AsyncStream.makeStream(
            of: Incoming.self, bufferingPolicy: .bufferingOldest(Self.bufferedMax))
        let overflow = Overflow()
        let connection = try await Connection.connect(
            to: target, deadline: connectDeadline, reactor: reactor, logger: logger,
            onNotification: { notification in
                if case .dropped = sink.yield(.notification(notification)) { overflow.note() }
            },
            onLoss: { _ in sink.finish() })
        do throws(PQError) {
            let listens = channels.map { Query("listen \"\($0)\"", prepare: false) }
            _ = try await connection.run(listens, by: .now + connectDeadline, commits: .nothing)
            onConnected()
            await handle(.connected)
            try await relay(incoming, of: connection, overflow, handle)
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    private enum Incoming: Sendable {
        case notification(Notification)
    }

    private func relay(
        _ incoming: AsyncStream<Incoming>, of connection: Connection, _ overflow: Overflow,
        _ handle: (Event) async -> Void
    ) async throws(PQError) {
        let check = Task(name: "pq-listener-check") {
            // A server that vanished without a word would otherwise never be noticed.
            while !Task.isCancelled {
                try await Task.sleep(for: Self.checkInterval)
                _ = try await connection.run([Query("select 1")], by: .now + .seconds(10), commits: .nothing)
            }
        }
        defer { check.cancel() }
        for await item in incoming {
            guard case .notification(let notification) = item else { continue }
            await handle(.notification(notification))
            if overflow.take() { await handle(.connected) }
        }
        if Task.isCancelled { throw PQError(.cancelled, "cancelled") }
        throw await connection.loss ?? PQError(.connectionLost, "the connection was closed")
    }
}

/// Remembers that something was dropped, until it is told.
private final class Overflow: Sendable {
    private let hasDropped = Mutex(false)

    func note() { hasDropped.withLock { $0 = true } }

    func take() -> Bool {
        hasDropped.withLock { value in
            defer { value = false }
            return value
        }
    }
}
