import NIOCore
import NIOHTTP1
import NIOPosix

/// A connection to a server, for one exchange at a time.
final class HTTPConnection: Sendable {
    let channel: any Channel
    private let handler: NIOLoopBound<ExchangeHandler>

    private init(_ channel: any Channel, _ handler: NIOLoopBound<ExchangeHandler>) {
        self.channel = channel
        self.handler = handler
    }

    /// Connects to the first address of the host that responds.
    static func connect(
        to address: ServerAddress, _ tls: ClientTLS?, on group: MultiThreadedEventLoopGroup,
        deadline: ContinuousClock.Instant
    ) async throws(TransportError) -> HTTPConnection {
        let remaining = ContinuousClock.now.duration(to: deadline)
        guard remaining > .zero else { throw .deadlineExceeded(mayHaveBeenSent: false) }
        let bootstrap = ClientBootstrap(group: group)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .connectTimeout(TimeAmount(remaining))
        do {
            let (connection, handshake) = try await bootstrap.connect(host: address.host, port: address.port) {
                channel in
                channel.eventLoop.makeCompletedFuture {
                    let handshake = try tls?.addHandlers(to: channel, host: address.host)
                    let handler = ExchangeHandler()
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(handler)
                    let connection = HTTPConnection(channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
                    return (connection, handshake)
                }
            }
            if let handshake { try await connection.wait(for: handshake, until: deadline) }
            return connection
        } catch {
            throw error as? TransportError ?? .notConnected(Self.reason(for: error))
        }
    }

    /// Whether the connection is believed to support another exchange.
    var isOpen: Bool { channel.isActive }

    /// Closes the connection, even during an exchange.
    func close() {
        channel.close(promise: nil)
    }

    /// Sends a request and returns its response, or the head of a streamed response.
    func send(
        _ head: HTTPRequestHead, body: ByteBuffer?, delivery: Exchange.Delivery, deadline: ContinuousClock.Instant
    ) async throws(TransportError) -> ReceivedResponse {
        let response = channel.eventLoop.makePromise(of: ReceivedResponse.self)
        let exchange = Exchange(
            head: head, body: body, delivery: delivery, deadline: NIODeadline(deadline), response: response)
        channel.eventLoop.execute { [handler] in handler.value.send(exchange) }
        return try await wait(for: response.futureResult)
    }

    /// Returns the next piece of a streamed body, or nil at its end.
    func nextPiece(deadline: ContinuousClock.Instant) async throws(TransportError) -> ByteBuffer? {
        let piece = channel.eventLoop.makePromise(of: ByteBuffer?.self)
        channel.eventLoop.execute { [handler] in handler.value.next(piece, deadline: NIODeadline(deadline)) }
        return try await wait(for: piece.futureResult)
    }

    /// Waits for the handshake of TLS.
    ///
    /// Closes the connection at the deadline.
    private func wait(for handshake: EventLoopFuture<Void>, until deadline: ContinuousClock.Instant) async throws {
        let timer = channel.eventLoop.scheduleTask(deadline: NIODeadline(deadline)) { self.close() }
        defer { timer.cancel() }
        do {
            try await withTaskCancellationHandler {
                try await handshake.get()
            } onCancel: {
                close()
            }
        } catch {
            close()
            throw error
        }
    }

    /// Waits for a future, and closes the connection if the task is cancelled.
    ///
    /// The connection cannot be used again, because the response may still arrive.
    private func wait<Value: Sendable>(for future: EventLoopFuture<Value>) async throws(TransportError) -> Value {
        do {
            return try await withTaskCancellationHandler {
                try await future.get()
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch {
            guard !Task.isCancelled else { throw .cancelled(mayHaveBeenSent: true) }
            throw error as? TransportError ?? .lost(String(describing: error))
        }
    }

    private static func reason(for error: any Error) -> String {
        switch error {
        case TransportError.notConnected(let reason): return reason
        case let error as NIOConnectionError:
            if let cause = error.connectionErrors.first?.error { return reason(for: cause) }
            return "unknown host \(error.host)"
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            return "connection refused: no program listens on this port"
        case ChannelError.connectTimeout:
            return "connection timed out"
        default:
            return String(describing: error)
        }
    }
}

extension TimeAmount {
    init(_ duration: Duration) {
        // 64 bits cannot hold a much longer time in nanoseconds.
        let parts = min(max(duration, .zero), .seconds(1_000_000_000)).components
        self = .nanoseconds(parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000)
    }
}

extension NIODeadline {
    init(_ instant: ContinuousClock.Instant) {
        self = .now() + TimeAmount(ContinuousClock.now.duration(to: instant))
    }
}
