internal import NIOCore
internal import NIOHTTP1

/// A request with a body that did not arrive in time.
struct BodyTimeout: Error {}

/// A handler that enforces a deadline for receiving request bodies.
///
/// It also sends `100 Continue` to clients that wait for it (RFC 9110, section 10.1.1).
///
/// A timer of the event loop costs little; a timer of a task would cost as much as the rest of a small request. A
/// request that arrives as a whole gets no timer, because setting and cancelling one is a tenth of the event loop's
/// work for it.
final class ReadTimeoutHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let deadline: TimeAmount
    private let bodyBytesMax: Int
    private var timer: Scheduled<Void>?
    /// Whether a request has begun to arrive, and has not ended.
    private var isArriving = false
    /// The number of requests that have begun and have no complete response.
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
            // During the response to an earlier request, the client would take `100 Continue` for a part of that
            // response. A client that receives no `100 Continue` sends the body after a while.
            if openCount == 1, isBodyAwaited(head) {
                let head = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        case .body: break
        case .end:
            isArriving = false
            stop()
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isArriving, timer == nil { start(context, deadline) { context.fireErrorCaught(BodyTimeout()) } }
        context.fireChannelReadComplete()
    }

    /// Whether the client waits for `100 Continue` with a body within the limit.
    ///
    /// A longer body is refused at once.
    private func isBodyAwaited(_ head: HTTPRequestHead) -> Bool {
        guard head.headers.contains(where: { $0.name.isField("expect") && $0.value.lowercased() == "100-continue" })
        else { return false }
        return (head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0) <= bodyBytesMax
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
