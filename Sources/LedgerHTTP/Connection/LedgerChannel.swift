internal import HummingbirdCore
internal import LedgerStore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1

/// The channel of a client's connection: HTTP/1.1 with the server's own checks.
///
/// Hummingbird's channel leaves the checks to the parser. The parser stops reading after `Upgrade: h2c`, sends refusals
/// without a body, and handles neither HTTP/1.0 nor a missing `Host`.
struct LedgerChannel: HTTPChannelHandler {
    typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let responder: HTTPChannelHandler.Responder
    let settings: ServerSettings
    let origins: OriginPolicy
    let control: AccessControl
    let metrics: HTTPMetrics
    let date: HTTPDate
    let connections: ConnectionRegistry
    /// The TLS; nil for plain HTTP.
    let tls: ServerTLS?
    /// Makes the handlers that respond before Hummingbird does, in their order.
    let makeFastPathHandlers: @Sendable (MessageValidator) -> [any ChannelHandler]

    /// The initial size of the read buffer, in bytes. It grows with the data.
    ///
    /// It is small because most connections send little and keep this buffer while they are open.
    private static let readBufferBytes = 512

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let upgrade = UpgradeSignal()
            let connection = connections.open(channel)
            let encoder = HTTPResponseEncoder()
            let validator = MessageValidator(
                settings: settings, origins: origins, control: control, metrics: metrics, date: date, upgrade: upgrade,
                connection: connection, logger: logger)
            if let tls { try pipeline.addHandler(tls.makeHandler()) }
            try pipeline.addHandlers([
                encoder, ByteToMessageHandler(HTTPMessageDecoder(upgrade: upgrade)), validator,
                HTTPTypesCodec(isSecure: tls != nil),
                ReadTimeoutHandler(deadline: settings.bodyDeadline, bodyBytesMax: settings.bodyBytesMax),
                WriteTimeoutHandler(deadline: settings.writeTimeout),
                HTTPConnectionStateHandler(idleTimeout: .seconds(settings.idleSeconds), logger: logger),
            ])
            try validator.acceptEncodedResponses(pipeline.context(handler: encoder))
            try pipeline.addHandlers(makeFastPathHandlers(validator))
            try channel.syncOptions?.setOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: Self.readBufferBytes, initial: Self.readBufferBytes, maximum: 65_536))
            return try NIOAsyncChannel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }

    func handle(value: Value, logger: Logger) async {
        await handleHTTP(asyncChannel: value, logger: logger)
    }
}
