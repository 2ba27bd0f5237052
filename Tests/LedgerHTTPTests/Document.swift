import NIOCore
import NIOHTTP1
import Synchronization

/// A document that another server publishes.
final class Document: Sendable {
    private let text = Mutex<String?>(nil)

    func set(_ text: String) { self.text.withLock { $0 = text } }

    fileprivate var current: String? { text.withLock { $0 } }
}

/// A handler that responds to every request with the document.
///
/// It responds with 404 if there is none.
final class DocumentHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let document: Document

    init(_ document: Document) {
        self.document = document
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = unwrapInboundIn(data) else { return }
        let text = document.current
        let head = HTTPResponseHead(
            version: .http1_1, status: text == nil ? .notFound : .ok,
            headers: ["content-length": "\(text?.utf8.count ?? 0)"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text ?? "")))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
