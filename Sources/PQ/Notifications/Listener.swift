public import Logging
internal import Synchronization

/// Listens to NOTIFY on a separate connection, and reconnects if it is lost.
///
/// Notifications are hints: some get lost with a connection. A subscriber must therefore look for missed changes at
/// every ``Event/connected``.
public final class Listener: Sendable {
    /// An event that a listener reports.
    public enum Event: Sendable {
        /// The listener receives notifications from now on: look now for missed changes.
        ///
        /// This is the first connection or a later one, or notifications were dropped.
        case connected
        /// The connection was lost or could not be opened; another attempt follows.
        case disconnected(PQError)
        case notification(Notification)
    }

    /// Maximum number of buffered notifications.
    ///
    /// Further ones are dropped, and then ``Event/connected`` is reported.
    private static let bufferedMax = 1_024
    /// The pauses between attempts double from the first to the longest.
    private static let backOff: (first: Duration, longest: Duration) = (.milliseconds(100), .seconds(10))
    /// The interval at which the connection is checked by a query.
    private static let checkInterval: Duration = .seconds(15)

    private let target: ConnectionTarget
    private let channels: [String]
    private let session: SessionRequirements
    private let connectDeadline: Duration
    let reactor: Reactor
    private let logger: Logger
    private let group: PoolGroup?
    private let current = Mutex<Connection?>(nil)

    /// Creates a listener for these channels; the names must be plain identifiers.
    ///
    /// - Parameters:
    ///   - session: The requirements for its session, such as no time limit for idle sessions.
    ///   - group: The group of this process's pools on the same database, which find a silent server sooner.
    public init(
        target: ConnectionTarget, channels: [String], session: SessionRequirements = SessionRequirements(),
        connectDeadline: Duration = .seconds(5), applicationName: String = "progress-ledger listener",
        group: PoolGroup? = nil, reactor: Reactor = .shared, logger: Logger
    ) {
        self.target = target.setting("fallback_application_name", applicationName)
        self.channels = channels
        self.session = session
        self.connectDeadline = connectDeadline
        self.reactor = reactor
        self.logger = logger
        self.group = group
        group?.join(self)
    }

    /// Listens until the task is cancelled, and passes one event at a time.
    public func run(_ handle: (Event) async -> Void) async {
        var pause = Self.backOff.first
        while !Task.isCancelled {
            do throws(PQError) {
                try await listen(handle) { pause = Self.backOff.first }
            } catch {
                if error.code == .cancelled || Task.isCancelled { return }
                await handle(.disconnected(error))
            }
            // Random jitter prevents all listeners from reconnecting at once when a server comes back.
            let jittered = pause * Double.random(in: 0.5...1)
            pause = min(pause * 2, Self.backOff.longest)
            do { try await Task.sleep(for: jittered) } catch { return }
        }
    }

    private func listen(_ handle: (Event) async -> Void, onConnected: () -> Void) async throws(PQError) {
        let (incoming, sink) = AsyncStream.makeStream(
            of: Incoming.self, bufferingPolicy: .bufferingOldest(Self.bufferedMax))
        let overflow = Overflow()
        let connection = try await Connection.connect(
            to: target, deadline: connectDeadline, reactor: reactor, logger: logger, group: group,
            onNotification: { notification in
                if case .dropped = sink.yield(.notification(notification)) { overflow.markDropped() }
            },
            onLoss: { _ in sink.finish() })
        current.withLock { $0 = connection }
        defer { current.withLock { $0 = nil } }
        do throws(PQError) {
            _ = try await connection.establish(session, deadline: connectDeadline)
            let listens = channels.map { Query("listen \"\($0)\"", prepare: false) }
            _ = try await connection.run(listens, by: .now + connectDeadline, commits: .nothing)
            onConnected()
            await handle(.connected)
            try await relay(incoming, sink, of: connection, overflow, handle)
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
        _ incoming: AsyncStream<Incoming>, _ sink: AsyncStream<Incoming>.Continuation, of connection: Connection,
        _ overflow: Overflow,
        _ handle: (Event) async -> Void
    ) async throws(PQError) {
        let livenessCheck = Task(name: "pq-listener-check") {
            // A server that vanished without closing the connection would otherwise never be noticed.
            // A check that fails ends the connection, even if libpq does not take it for lost.
            defer { sink.finish() }
            while !Task.isCancelled {
                try await Task.sleep(for: Self.checkInterval)
                _ = try await connection.run([Query("select 1")], by: .now + .seconds(10), commits: .nothing)
            }
        }
        defer { livenessCheck.cancel() }
        for await item in incoming {
            guard case .notification(let notification) = item else { continue }
            await handle(.notification(notification))
            if overflow.takeAndReset() { await handle(.connected) }
        }
        if Task.isCancelled { throw PQError(.cancelled, "cancelled") }
        throw await connection.loss ?? PQError(.connectionLost, "the connection was closed")
    }
}

extension Listener: ConnectionOwner {
    func heard(from server: ServerAddress) -> ContinuousClock.Instant? {
        connection(to: server)?.assumeIsolated { $0.heardAt }
    }

    func drop(_ server: ServerAddress) {
        connection(to: server)?.assumeIsolated { $0.serverFellSilent() }
    }

    private func connection(to server: ServerAddress) -> Connection? {
        current.withLock { $0?.server == server ? $0 : nil }
    }
}

/// A flag that records that a notification was dropped, until it is read.
private final class Overflow: Sendable {
    private let hasDropped = Mutex(false)

    func markDropped() { hasDropped.withLock { $0 = true } }

    func takeAndReset() -> Bool {
        hasDropped.withLock { value in
            defer { value = false }
            return value
        }
    }
}
