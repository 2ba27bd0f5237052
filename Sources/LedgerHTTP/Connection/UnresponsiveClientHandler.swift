internal import NIOCore
internal import NIOHTTP2

/// A handler that closes a connection of HTTP/2 after an error, or if it is idle.
///
/// The handler before it sends GOAWAY to the client of an idle connection, and when the server stops. It then waits for
/// the client's response without a limit. After an error in the protocol, the connection stays open without it.
final class UnresponsiveClientHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    /// The time in which a client must respond.
    private static let responseTime = TimeAmount.seconds(5)

    private let connection: ConnectionRegistry.Connection
    private let idleMax: TimeAmount
    private var isStopping = false
    private var timer: Scheduled<Void>?

    /// - Parameter idleMax: The time for which a connection may be idle.
    init(_ connection: ConnectionRegistry.Connection, idleMax: TimeAmount) {
        self.connection = connection
        self.idleMax = idleMax
    }

    func handlerAdded(context: ChannelHandlerContext) { schedule(context) }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            isStopping = true
            schedule(context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The error of a stream ends that stream only.
        if !(error is NIOHTTP2Errors.StreamError) { context.close(promise: nil) }
    }

    /// Schedules the next check.
    ///
    /// It is when the connection will have been idle for too long, if no request arrives.
    private func schedule(_ context: ChannelHandlerContext) {
        timer?.cancel()
        let limit = (isStopping ? .zero : idleMax) + Self.responseTime
        let end = connection.idleStart.map { NIODeadline.uptimeNanoseconds($0) + limit } ?? .now() + Self.responseTime
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: end) {
            guard let start = self.connection.idleStart, NIODeadline.uptimeNanoseconds(start) + limit <= .now() else {
                return self.schedule(context)
            }
            context.close(promise: nil)
        }
    }
}
