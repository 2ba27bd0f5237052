internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1

/// A handler that converts messages between NIO's types and the router's.
///
/// The handlers before it use NIO's types, because the conversion is a tenth of a small request's time. It differs from
/// `HTTP1ToHTTPServerCodec` in one way: that one parses each target as a URL, but ``MessageValidator`` has already
/// reduced the target to a path and a query.
final class HTTPTypesCodec: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let scheme: String

    /// - Parameter isSecure: Whether the connection uses TLS.
    init(isSecure: Bool) {
        scheme = isSecure ? "https" : "http"
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            do {
                context.fireChannelRead(wrapInboundOut(.head(try HTTPRequest(head, scheme: scheme))))
            } catch {
                context.fireErrorCaught(error)
            }
        case .body(let bytes): context.fireChannelRead(wrapInboundOut(.body(bytes)))
        case .end(let trailers):
            context.fireChannelRead(wrapInboundOut(.end(trailers.map { HTTPFields($0, splitCookie: false) })))
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let part: HTTPServerResponsePart =
            switch unwrapOutboundIn(data) {
            case .head(let response): .head(HTTPResponseHead(response))
            case .body(let bytes): .body(.byteBuffer(bytes))
            case .end(let trailers): .end(trailers.map(HTTPHeaders.init))
            }
        context.write(wrapOutboundOut(part), promise: promise)
    }
}

@available(*, unavailable)
extension HTTPTypesCodec: Sendable {}

extension HTTPRequest {
    /// Converts a head. Its target is a path with a query.
    ///
    /// The value of `Host` becomes the authority. A field with an invalid name is dropped; the parser lets none pass.
    fileprivate init(_ head: HTTPRequestHead, scheme: String) throws {
        var host: String?
        var fields = HTTPFields()
        fields.reserveCapacity(head.headers.count)
        for (name, value) in head.headers {
            if host == nil, name.isField("host") {
                host = value
            } else if let name = HTTPField.Name(name) {
                fields.append(HTTPField(name: name, value: value))
            }
        }
        self.init(
            method: try HTTPRequest.Method(head.method), scheme: scheme, authority: host, path: head.uri,
            headerFields: fields)
    }
}

extension String {
    /// Whether this is the name of a header field.
    ///
    /// - Parameter name: The name of the field in lower case.
    func isField(_ name: String) -> Bool {
        guard utf8.count == name.utf8.count else { return false }
        for (byte, expected) in zip(utf8, name.utf8) {
            let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            guard (isUpper ? byte | 0x20 : byte) == expected else { return false }
        }
        return true
    }
}
