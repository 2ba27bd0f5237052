internal import HummingbirdCore
internal import HummingbirdHTTP2
internal import LedgerStore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes

/// The channel of a client's connection, with the server's own checks.
///
/// Hummingbird's channel for HTTP/1.1 leaves the checks to the parser. The parser stops reading after `Upgrade: h2c`,
/// sends refusals without a body, and handles neither HTTP/1.0 nor a missing `Host`. HTTP/2 is Hummingbird's: with the
/// limits of swift-nio-http2 on streams, headers and resets. Each of its streams gets the same handlers as a connection
/// of HTTP/1.1.
struct LedgerChannel: HTTPChannelHandler {
    /// The connection of a client. Its protocol may not be known yet.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        fileprivate let accepted: EventLoopFuture<Accepted>
    }

    /// The connection of a client with a known protocol.
    fileprivate enum Accepted: Sendable {
        case http1(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
        case http2(HTTP2Channel.Value)
    }

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
            let connection = connections.open(channel)
            if let tls { try pipeline.addHandler(tls.makeHandler()) }
            try channel.syncOptions?.setOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: Self.readBufferBytes, initial: Self.readBufferBytes, maximum: 65_536))
            // The refusal of a connection does not wait for the client.
            guard connection.isAccepted else {
                let accepted = try configureHTTP1(channel, connection, logger)
                return Value(channel: channel, accepted: channel.eventLoop.makeSucceededFuture(accepted))
            }
            let accepted = channel.eventLoop.makePromise(of: Accepted.self)
            try pipeline.addHandler(
                ProtocolDetector(timeLimit: .seconds(Int64(settings.idleSeconds))) { isHTTP2 in
                    if isHTTP2 {
                        accepted.completeWith(configureHTTP2(channel, connection, logger))
                    } else {
                        accepted.completeWith(Result { try configureHTTP1(channel, connection, logger) })
                    }
                } ended: {
                    connection.closed()
                    accepted.fail(ChannelError.eof)
                })
            return Value(channel: channel, accepted: accepted.futureResult)
        }
    }

    private func configureHTTP1(
        _ channel: any Channel, _ connection: ConnectionRegistry.Connection, _ logger: Logger
    ) throws -> Accepted {
        let pipeline = channel.pipeline.syncOperations
        let upgrade = UpgradeSignal()
        let encoder = HTTPResponseEncoder()
        let validator = makeValidator(connection, upgrade, logger)
        try pipeline.addHandlers([encoder, ByteToMessageHandler(HTTPMessageDecoder(upgrade: upgrade))])
        try pipeline.addHandlers(makeHandlers(validator, idleSeconds: settings.idleSeconds, logger))
        try validator.acceptEncodedResponses(pipeline.context(handler: encoder))
        return .http1(
            try NIOAsyncChannel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true)))
    }

    private func configureHTTP2(
        _ channel: any Channel, _ connection: ConnectionRegistry.Connection, _ logger: Logger
    ) -> EventLoopFuture<Accepted> {
        channel.closeFuture.whenComplete { _ in connection.closed() }
        return http2(connection, logger).setup(channel: channel, logger: logger).map { .http2($0) }
    }

    /// Hummingbird's channel of HTTP/2, with a stream as a connection of its own.
    private func http2(_ connection: ConnectionRegistry.Connection?, _ logger: Logger) -> HTTP2Channel {
        HTTP2Channel(
            responder: responder,
            configuration: HTTP2ChannelConfiguration(
                idleTimeout: .seconds(settings.idleSeconds), gracefulCloseTimeout: nil,
                streamConfiguration: HTTP1Channel.Configuration(
                    additionalChannelHandlers: [
                        HTTP2StreamAdapter { stream in
                            let stream = connections.open(stream, in: connection)
                            return makeHandlers(
                                makeValidator(stream, UpgradeSignal(), logger), idleSeconds: nil, logger)
                        }
                    ])))
    }

    private func makeValidator(
        _ connection: ConnectionRegistry.Connection, _ upgrade: UpgradeSignal, _ logger: Logger
    ) -> MessageValidator {
        MessageValidator(
            settings: settings, origins: origins, control: control, metrics: metrics, date: date, upgrade: upgrade,
            connection: connection, logger: logger)
    }

    /// Makes the handlers between the wire format and the router.
    ///
    /// - Parameter idleSeconds: The time after which the connection is closed if it is idle; nil for no limit.
    private func makeHandlers(
        _ validator: MessageValidator, idleSeconds: Int?, _ logger: Logger
    ) -> [any ChannelHandler] {
        [
            validator, HTTPTypesCodec(isSecure: tls != nil),
            ReadTimeoutHandler(deadline: settings.bodyDeadline, bodyBytesMax: settings.bodyBytesMax),
            WriteTimeoutHandler(deadline: settings.writeTimeout),
            HTTPConnectionStateHandler(idleTimeout: idleSeconds.map { .seconds($0) }, logger: logger),
        ] + makeFastPathHandlers(validator)
    }

    func handle(value: Value, logger: Logger) async {
        do {
            switch try await value.accepted.get() {
            case .http1(let channel): await handleHTTP(asyncChannel: channel, logger: logger)
            case .http2(let connection): await http2(nil, logger).handle(value: connection, logger: logger)
            }
        } catch {
            logger.trace("a connection ended before its first request", metadata: ["error": "\(error)"])
        }
    }
}
