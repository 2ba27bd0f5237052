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
    private static let connectionFields: [HTTPField.Name] = [.connection, .transferEncoding, .upgrade, .keepAlive]

    private let makeHandlers: (any Channel) throws -> [any ChannelHandler]

    /// - Parameter makeHandlers: Makes the handlers of a connection of HTTP/1.1, in their order.
    init(makeHandlers: @escaping (any Channel) throws -> [any ChannelHandler]) {
        self.makeHandlers = makeHandlers
    }

    func handlerAdded(context: ChannelHandlerContext) {
        do {
            try context.pipeline.syncOperations.addHandlers(makeHandlers(context.channel), position: .after(self))
        } catch {
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let request):
            do {
                context.fireChannelRead(wrapInboundOut(.head(try HTTPRequestHead(request))))
            } catch {
                // A request without a path, which is malformed: RFC 9113, section 8.3.1.
                context.close(promise: nil)
            }
        case .body(let bytes): context.fireChannelRead(wrapInboundOut(.body(bytes)))
        case .end(let trailers): context.fireChannelRead(wrapInboundOut(.end(trailers.map(HTTPHeaders.init))))
        }
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
            context.write(wrapOutboundOut(.end(trailers)), promise: promise)
        }
    }

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

extension HTTPField.Name {
    fileprivate static let keepAlive = Self("keep-alive")!
}
