internal import HTTPTypes
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1

/// A handler that converts messages between NIO's types and swift-http-types.
///
/// It differs from `HTTP1ToHTTPServerCodec` in two ways. That one parses each target as a URL, but ``MessageValidator``
/// has already reduced the target to a path and a query. And most requests of a connection have the same header fields,
/// so a field that is equal to the previous request's is not parsed again.
final class HTTPTypesCodec: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let scheme: String
    private var memory = FieldMemory()

    /// - Parameter isSecure: Whether the connection uses TLS.
    init(isSecure: Bool) {
        scheme = isSecure ? "https" : "http"
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            do {
                let (host, fields) = memory.convert(head.headers)
                let request = HTTPRequest(
                    method: try HTTPRequest.Method(head.method), scheme: scheme, authority: host, path: head.uri,
                    headerFields: fields)
                context.fireChannelRead(wrapInboundOut(.head(request)))
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

/// The header fields of a connection's last request.
///
/// Parsing a field validates its name and its value, and makes a copy of the name in lower case.
private struct FieldMemory {
    private var fields = HTTPFields()

    /// Converts a header.
    ///
    /// - Returns: The value of `Host`, and the other fields. A field with an invalid name is dropped; the parser lets
    ///   none pass.
    mutating func convert(_ headers: HTTPHeaders) -> (host: String?, fields: HTTPFields) {
        var host: String?
        var converted = HTTPFields()
        converted.reserveCapacity(headers.count)
        for (name, value) in headers {
            if host == nil, name.utf8.count == 4, name.lowercased() == "host" {
                host = value
            } else if converted.count < fields.count,
                fields[converted.count].name.rawName.utf8.elementsEqual(name.utf8)
            {
                let known = fields[converted.count]
                converted.append(
                    known.value.utf8.elementsEqual(value.utf8) ? known : HTTPField(name: known.name, value: value))
            } else if let name = HTTPField.Name(name) {
                converted.append(HTTPField(name: name, value: value))
            }
        }
        fields = converted
        return (host, converted)
    }
}
