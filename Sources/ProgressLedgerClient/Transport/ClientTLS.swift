import NIOCore
import Synchronization

#if TLS
    import NIOSSL
    import NIOTLS
#endif

/// The TLS of a client's connections.
///
/// It trusts the system's authorities, or only those of a file. The server's name, or its address, must be one of its
/// certificate's. The files are read again when they change, because certificates are replaced before they expire.
final class ClientTLS: Sendable {
    #if TLS
        private let caFile: String?
        private let certificate: LedgerClient.Settings.ClientCertificate?
        private let shared = Mutex(Shared())

        private struct Shared {
            /// The context, made at the first connection, which takes some milliseconds.
            var context: NIOSSLContext?
            /// The versions of the files when they were read.
            var versions: [FileVersion?] = []
        }
    #endif

    /// - Parameters:
    ///   - caFile: The path of a PEM file with the authorities to trust; nil for the system's.
    ///   - certificate: The files of the client's certificate; nil for none.
    init(caFile: String?, certificate: LedgerClient.Settings.ClientCertificate? = nil) {
        #if TLS
            self.caFile = caFile
            self.certificate = certificate
        #endif
    }

    /// Adds the handlers of TLS for a connection to a host.
    ///
    /// The channel must belong to the current event loop.
    ///
    /// - Returns: Ends with the handshake. Before it nothing of a request is sent.
    func addHandlers(to channel: any Channel, host: String) throws -> EventLoopFuture<Void> {
        #if TLS
            let context = try currentContext()
            // The certificate of a server without a name contains its address.
            let isAddress = host.contains(":") || host.allSatisfy { $0.isNumber || $0 == "." }
            let handler = try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
            let handshake = HandshakeHandler(channel.eventLoop.makePromise())
            try channel.pipeline.syncOperations.addHandlers([handler, handshake])
            return handshake.completion.futureResult
        #else
            throw TransportError.notConnected(
                "this build of the client has no TLS; enable the trait TLS of its package")
        #endif
    }

    #if TLS
        /// The context of the files, or the last one while the files cannot be used.
        ///
        /// They cannot be used, for example, while only one of a certificate and its key is replaced.
        private func currentContext() throws -> NIOSSLContext {
            try shared.withLock { shared in
                // Before the files are read: a change during the reading is noticed by the next call.
                let versions = [caFile, certificate?.certificateFile, certificate?.keyFile].map {
                    $0.flatMap { FileVersion($0) }
                }
                if let context = shared.context, versions == shared.versions { return context }
                do {
                    let context = try makeContext()
                    shared = Shared(context: context, versions: versions)
                    return context
                } catch {
                    guard let last = shared.context else { throw error }
                    return last
                }
            }
        }

        private func makeContext() throws -> NIOSSLContext {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            if let caFile {
                guard let authorities = try? NIOSSLCertificate.fromPEMFile(caFile), !authorities.isEmpty else {
                    throw TransportError.notConnected("\(caFile) contains no readable certificate in PEM")
                }
                configuration.trustRoots = .certificates(authorities)
            }
            if let certificate {
                guard let chain = try? NIOSSLCertificate.fromPEMFile(certificate.certificateFile), !chain.isEmpty,
                    let key = try? NIOSSLPrivateKey(file: certificate.keyFile, format: .pem)
                else {
                    throw TransportError.notConnected(
                        "\(certificate.certificateFile) and \(certificate.keyFile) contain no readable certificate "
                            + "and private key in PEM")
                }
                configuration.certificateChain = chain.map { .certificate($0) }
                configuration.privateKey = .privateKey(key)
            }
            return try NIOSSLContext(configuration: configuration)
        }
    #endif
}

#if TLS
    /// A handler that waits for the handshake.
    private final class HandshakeHandler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        let completion: EventLoopPromise<Void>

        init(_ completion: EventLoopPromise<Void>) {
            self.completion = completion
        }

        func channelActive(context: ChannelHandlerContext) {
            context.fireChannelActive()
            // Connections read only on request.
            context.read()
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .handshakeCompleted? = event as? TLSUserEvent { completion.succeed() }
            context.fireUserInboundEventTriggered(event)
        }

        /// A connection that never becomes active ends here.
        func handlerRemoved(context: ChannelHandlerContext) {
            completion.fail(TransportError.notConnected("the connection ended during the TLS handshake"))
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            completion.fail(TransportError.notConnected(Self.reason(for: error)))
            context.fireErrorCaught(error)
        }

        /// A reason for people. The errors of BoringSSL have no codes for these cases.
        private static func reason(for error: any Error) -> String {
            let text = String(describing: error)
            if text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("unableToValidateCertificate") {
                return
                    "TLS failed: the server's certificate has expired, is for another name, or its authority is not "
                    + "trusted; to trust it, set PROGRESS_LEDGER_CA_FILE"
            }
            if text.contains("WRONG_VERSION_NUMBER") {
                return "TLS failed: the server does not speak TLS on this port; try http://"
            }
            return "TLS failed: \(text)"
        }

        func channelInactive(context: ChannelHandlerContext) {
            completion.fail(TransportError.notConnected("the server closed the connection during the TLS handshake"))
            context.fireChannelInactive()
        }
    }
#endif
