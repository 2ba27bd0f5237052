internal import NIOCore
internal import NIOEmbedded
internal import NIOSSL

/// The certificate of a server, and the TLS of the clients that trust it.
struct LoadTLS: Sendable {
    /// The path of the certificate, which signs itself.
    let certificate: String
    /// The path of its key.
    let key: String
    private let context: NIOSSLContext

    init(certificate: String, key: String) throws {
        self.certificate = certificate
        self.key = key
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(certificate)
        context = try NIOSSLContext(configuration: configuration)
    }

    func makeSession() throws -> Session { try Session(context) }

    /// The TLS of one connection, which encrypts and decrypts in memory.
    ///
    /// Only one thread may use it.
    final class Session {
        private let channel: EmbeddedChannel
        /// The encrypted bytes to send.
        var outgoing: [UInt8] = []

        fileprivate init(_ context: NIOSSLContext) throws {
            channel = EmbeddedChannel()
            try channel.pipeline.syncOperations.addHandler(
                NIOSSLClientHandler(context: context, serverHostname: nil))
            // The handler compares the address with the certificate's, and begins.
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 443)).wait()
            try takeEncrypted()
        }

        /// Encrypts bytes, and appends them to those to send.
        ///
        /// During the handshake they wait for its end.
        func encrypt(_ bytes: ArraySlice<UInt8>) throws {
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            try takeEncrypted()
        }

        /// Decrypts received bytes.
        func decrypt(_ bytes: UnsafeRawBufferPointer, into plain: inout [UInt8]) throws {
            try channel.writeInbound(ByteBuffer(bytes: bytes))
            while let buffer = try channel.readInbound(as: ByteBuffer.self) {
                plain.append(contentsOf: buffer.readableBytesView)
            }
            try takeEncrypted()
        }

        private func takeEncrypted() throws {
            while let buffer = try channel.readOutbound(as: ByteBuffer.self) {
                outgoing.append(contentsOf: buffer.readableBytesView)
            }
        }
    }
}
