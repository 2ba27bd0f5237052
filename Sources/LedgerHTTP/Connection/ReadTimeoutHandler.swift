internal import HTTPTypes
internal import NIOCore
internal import NIOHTTPTypes

/// A request whose body did not arrive in time.
struct SlowRequest: Error {}

/// Enforces a deadline for receiving bodies, and asks for a body whose client waits to be asked (RFC 9110, section 10.1.1).
///
/// A timer of the event loop costs little, where one of a task would cost as much as the rest of a small request; one that
/// arrives as a whole gets none, for to set it and to take it back is a tenth of what the event loop has to do for it.
final class ReadTimeoutHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let deadline: TimeAmount
    private let bodyBytesMax: Int
    private var timer: Scheduled<Void>?
    /// Whether a request has begun to arrive, and has not ended.
    private var isArriving = false
    /// Requests that have begun and whose answers have not ended.
    private var openCount = 0

    init(deadline: Duration, bodyBytesMax: Int) {
        self.deadline = TimeAmount(deadline)
        self.bodyBytesMax = bodyBytesMax
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            isArriving = true
            openCount += 1
            // In the middle of the answer to an earlier request it would be taken for a part of that. Who is not asked
            // sends the body after a while.
            if openCount == 1, isBodyAwaited(head) {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
        case .body: break
        case .end:
            isArriving = false
            stop()
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isArriving, timer == nil { start(context, deadline) { context.fireErrorCaught(SlowRequest()) } }
        context.fireChannelReadComplete()
    }

    /// Whether the client waits to be asked for a body that is not too long: of one that is, it is told at once.
    private func isBodyAwaited(_ head: HTTPRequest) -> Bool {
        head.headerFields[.expect]?.lowercased() == "100-continue"
            && (head.headerFields[.contentLength].flatMap { Int($0) } ?? 0) <= bodyBytesMax
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { openCount = max(0, openCount - 1) }
        context.write(data, promise: promise)
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        stop()
    }

    private func start(_ context: ChannelHandlerContext, _ delay: TimeAmount, _ body: @escaping () -> Void) {
        stop()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: delay) { body() }
    }

    private func stop() {
        timer?.cancel()
        timer = nil
    }
}
