import LedgerTestSupport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// A receiver of webhooks by HTTPS, which accepts everything.
///
/// It listens on a free port of 127.0.0.1.
final class SecureReceiver: Sendable {
    private final class Received: Sendable {
        let heads = Mutex<[HTTPRequestHead]>([])
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let received: Received

        init(_ received: Received) {
            self.received = received
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): received.heads.withLock { $0.append(head) }
            case .body: break
            case .end:
                let head = HTTPResponseHead(version: .http1_1, status: .noContent)
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }

    private let received = Received()
    private let channel: any Channel
    let port: Int

    /// Starts a receiver with the certificate `server`.
    init(_ certificates: TestCertificates) async throws {
        let chain = try NIOSSLCertificate.fromPEMFile(certificates.certificate)
        let key = try NIOSSLPrivateKey(file: certificates.key, format: .pem)
        let context = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key)))
        let received = received
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(received))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        port = channel.localAddress?.port ?? 0
    }

    /// The heads of the requests so far.
    var requests: [HTTPRequestHead] { received.heads.withLock { $0 } }

    func close() async throws { try await channel.close() }
}
