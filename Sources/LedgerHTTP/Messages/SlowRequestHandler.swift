internal import NIOCore
internal import NIOHTTPTypes

/// A request whose body did not arrive in time.
struct SlowRequest: Error {}

/// Gives every body a time to arrive as a whole, however it drips. A timer of the event loop costs next to nothing,
/// where one of a task would cost as much as the rest of a small request.
final class SlowRequestHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart

    private let deadline: TimeAmount
    private var timer: Scheduled<Void>?

    init(deadline: Duration) {
        self.deadline = TimeAmount(deadline)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            timer = context.eventLoop.assumeIsolated().scheduleTask(in: deadline) {
                context.fireErrorCaught(SlowRequest())
            }
        case .body: break
        case .end: stop()
        }
        context.fireChannelRead(data)
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        stop()
    }

    private func stop() {
        timer?.cancel()
        timer = nil
    }
}
