internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1

/// A handler that presents a stream of HTTP/2 as a connection of HTTP/1.1.
///
/// The handlers behind it therefore enforce the same rules, and make the same responses.
final class HTTP2StreamAdapter: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// Header fields about a connection, which HTTP/2 forbids: RFC 9113, section 8.2.2.
    private static let connectionFields = ["connection", "transfer-encoding", "upgrade", "keep-alive"].compactMap {
        HTTPField.Name($0)
    }

    /// The time in which a client must take the end of its response.
    private let writeTimeout: TimeAmount
    private var timer: Scheduled<Void>?

    init(writeTimeout: Duration) {
        self.writeTimeout = TimeAmount(writeTimeout)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let request):
            do {
                var head = try HTTPRequestHead(request)
                if let problem = Self.excess(head) { return context.fireErrorCaught(problem) }
                // The conversion adds the authority. A field that repeats it is permitted: RFC 9113, section 8.3.1.
                let hosts = head.headers["host"]
                if hosts.count == 2, hosts[0] == hosts[1] { head.headers.replaceOrAdd(name: "host", value: hosts[0]) }
                context.fireChannelRead(wrapInboundOut(.head(head)))
            } catch {
                // A request without a path, which is malformed: RFC 9113, section 8.3.1.
                context.close(promise: nil)
            }
        case .body(let bytes): context.fireChannelRead(wrapInboundOut(.body(bytes)))
        case .end(let trailers): context.fireChannelRead(wrapInboundOut(.end(trailers.map(HTTPHeaders.init))))
        }
    }

    /// Returns the limit of HTTP/1.1 that a head exceeds; nil for none.
    private static func excess(_ head: HTTPRequestHead) -> RequestTooLarge? {
        let fieldMax = HTTPMessageDecoder.fieldBytesMax
        if head.uri.utf8.count > fieldMax { return .target }
        guard head.headers.count <= HTTPMessageDecoder.fieldsMax else { return .header }
        return head.headers.contains { $0.name.utf8.count > fieldMax || $0.value.utf8.count > fieldMax } ? .header : nil
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            do {
                var response = try HTTPResponse(head)
                for name in Self.connectionFields { response.headerFields[name] = nil }
                context.write(wrapOutboundOut(.head(response)), promise: promise)
            } catch {
                promise?.fail(error)
                context.close(promise: nil)
            }
        case .body(.byteBuffer(let bytes)): context.write(wrapOutboundOut(.body(bytes)), promise: promise)
        case .body(.fileRegion): preconditionFailure("no handler writes files")
        case .end(let trailers):
            let trailers = trailers.map { HTTPFields($0, splitCookie: false) }
            let written = promise ?? context.eventLoop.makePromise()
            awaitEnd(context)
            written.futureResult.assumeIsolated().whenComplete { _ in self.stopTimer() }
            context.write(wrapOutboundOut(.end(trailers)), promise: written)
        }
    }

    /// Closes the stream if the client does not take the end of its response.
    ///
    /// The channel stays writable if the rest is short, so that ``WriteTimeoutHandler`` does not notice it.
    private func awaitEnd(_ context: ChannelHandlerContext) {
        stopTimer()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: writeTimeout) {
            guard context.channel.isWritable else { return self.awaitEnd(context) }
            context.close(promise: nil)
        }
    }

    private func stopTimer() {
        timer?.cancel()
        timer = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        stopTimer()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { stopTimer() }

    /// Closes the stream.
    ///
    /// The end of the response has closed the output. Closing it again would reset the stream, and the client might
    /// drop the response.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .output { promise?.succeed() } else { context.close(mode: mode, promise: promise) }
    }
}

@available(*, unavailable)
extension HTTP2StreamAdapter: Sendable {}
