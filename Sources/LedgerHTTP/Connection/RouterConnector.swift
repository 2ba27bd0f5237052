internal import NIOCore
internal import NIOHTTPTypes

/// A handler that connects the router when it gets its first message.
///
/// Most connections never need the router: handlers before this one respond to appends and reads, and send watched
/// snapshots. The streams and the task of the router take 9 kB, more than the rest of such a connection.
final class RouterConnector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart

    private let connect: () -> Void
    private let ended: () -> Void
    private var isConnected = false

    /// - Parameters:
    ///   - connect: Adds the router's handlers behind this one. Called at most once.
    ///   - ended: Called once if the connection ends before.
    init(connect: @escaping () -> Void, ended: @escaping () -> Void) {
        self.connect = connect
        self.ended = ended
    }

    /// Connects the router, before it gets its first message or event.
    private func connectOnce() {
        guard !isConnected else { return }
        isConnected = true
        connect()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connectOnce()
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    /// Forwards the end of the messages. The router then closes the connection.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed { connectOnce() }
        context.fireUserInboundEventTriggered(event)
    }

    /// Forwards an error, upon which the router closes the connection.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connectOnce()
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
    }

    private func end() {
        guard !isConnected else { return }
        isConnected = true
        ended()
    }
}
