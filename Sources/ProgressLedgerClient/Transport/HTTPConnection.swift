import NIOCore
import NIOHTTP1
import NIOPosix

/// One connection to a server, for one exchange at a time.
final class HTTPConnection: Sendable {
    let channel: any Channel
    private let handler: NIOLoopBound<ExchangeHandler>

    private init(_ channel: any Channel, _ handler: NIOLoopBound<ExchangeHandler>) {
        self.channel = channel
        self.handler = handler
    }

    /// Connects, by whichever of the host's addresses answers first.
    static func connect(
        to address: ServerAddress, on group: MultiThreadedEventLoopGroup, deadline: ContinuousClock.Instant
    ) async throws(TransportError) -> HTTPConnection {
        let remaining = ContinuousClock.now.duration(to: deadline)
        guard remaining > .zero else { throw .deadlineExceeded(mayHaveBeenSent: false) }
        let bootstrap = ClientBootstrap(group: group)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .connectTimeout(TimeAmount(remaining))
        do {
            return try await bootstrap.connect(host: address.host, port: address.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = ExchangeHandler()
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(handler)
                    return HTTPConnection(channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
                }
            }
        } catch {
            throw .notConnected(Self.reason(for: error))
        }
    }

    /// Whether it can carry another exchange, as far as is known.
    var isOpen: Bool { channel.isActive }

    /// Ends it, whatever it is doing.
    func close() {
        channel.close(promise: nil)
    }

    /// Sends a request and returns its answer; of a streamed one, its head.
    func send(
        _ head: HTTPRequestHead, body: ByteBuffer?, delivery: Exchange.Delivery, deadline: ContinuousClock.Instant
    ) async throws(TransportError) -> ReceivedResponse {
        let answer = channel.eventLoop.makePromise(of: ReceivedResponse.self)
        let exchange = Exchange(
            head: head, body: body, delivery: delivery, deadline: NIODeadline(deadline), answer: answer)
        channel.eventLoop.execute { [handler] in handler.value.send(exchange) }
        return try await wait(for: answer.futureResult)
    }

    /// The next piece of a streamed body; nil at its end.
    func nextPiece(deadline: ContinuousClock.Instant) async throws(TransportError) -> ByteBuffer? {
        let piece = channel.eventLoop.makePromise(of: ByteBuffer?.self)
        channel.eventLoop.execute { [handler] in handler.value.next(piece, deadline: NIODeadline(deadline)) }
        return try await wait(for: piece.futureResult)
    }

    /// Waits; a cancelled task closes the connection, because what it had asked for may still arrive.
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
        case let error as NIOConnectionError:
            if let cause = error.connectionErrors.first?.error { return reason(for: cause) }
            return "\(error.host) is not the name or address of any host"
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            return "the connection was refused: nothing listens there"
        case ChannelError.connectTimeout:
            return "no answer to the attempt to connect"
        default:
            return String(describing: error)
        }
    }
}

extension TimeAmount {
    init(_ duration: Duration) {
        // A longer time is none that 64 bits hold in nanoseconds.
        let parts = min(max(duration, .zero), .seconds(1_000_000_000)).components
        self = .nanoseconds(parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000)
    }
}

extension NIODeadline {
    init(_ instant: ContinuousClock.Instant) {
        self = .now() + TimeAmount(ContinuousClock.now.duration(to: instant))
    }
}
