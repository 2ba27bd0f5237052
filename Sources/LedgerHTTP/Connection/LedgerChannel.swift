internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1

/// One connection of a client: HTTP/1.1 with our own rules about what a message may be.
///
/// Hummingbird's channel leaves these to the parser, which stops reading after `Upgrade: h2c`, refuses without a body, and
/// knows neither HTTP/1.0 nor a missing `Host`.
struct LedgerChannel: HTTPChannelHandler {
    typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    let responder: HTTPChannelHandler.Responder
    let settings: ServerSettings
    let metrics: HTTPMetrics
    let date: HTTPDate
    let connections: ConnectionRegistry
    /// Makes the handlers that answer requests before Hummingbird does, the first one at the front.
    let shortcuts: @Sendable () -> [any ChannelHandler]

    /// Bytes read at once in the beginning, which grow with what arrives. Small, since most connections send little and
    /// keep this buffer for as long as they live.
    private static let readBytes = 512

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let upgrade = UpgradeSignal()
            let connection = connections.open(channel)
            try pipeline.addHandlers([
                HTTPResponseEncoder(), ByteToMessageHandler(HTTPMessageDecoder(upgrade: upgrade)),
                MessageValidator(
                    settings: settings, metrics: metrics, date: date, upgrade: upgrade, connection: connection),
                HTTP1ToHTTPServerCodec(secure: false),
                ReadTimeoutHandler(deadline: settings.bodyDeadline, bodyBytesMax: settings.bodyBytesMax),
                WriteTimeoutHandler(deadline: settings.answerDeadline),
                HTTPConnectionStateHandler(idleTimeout: .seconds(settings.idleSeconds), logger: logger),
            ])
            try pipeline.addHandlers(shortcuts())
            try channel.syncOptions?.setOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: Self.readBytes, initial: Self.readBytes, maximum: 65_536))
            return try NIOAsyncChannel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }

    func handle(value: Value, logger: Logger) async {
        await handleHTTP(asyncChannel: value, logger: logger)
    }
}
