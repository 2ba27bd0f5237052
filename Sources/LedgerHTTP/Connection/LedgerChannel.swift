internal import HummingbirdCore
internal import LedgerStore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTP2
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP2

/// The channel of a client's connection, with the server's own checks.
///
/// Hummingbird's channel for HTTP/1.1 leaves the checks to the parser. The parser stops reading after `Upgrade: h2c`,
/// sends refusals without a body, and handles neither HTTP/1.0 nor a missing `Host`. Hummingbird's channel for HTTP/2
/// disconnects clients that send a PING now and then, and waits without a limit for others. Each stream of HTTP/2 gets
/// the same handlers as a connection of HTTP/1.1; swift-nio-http2 limits its streams, headers and resets.
struct LedgerChannel: HTTPChannelHandler {
    /// The messages of a connection of HTTP/1.1, or of a stream of HTTP/2.
    fileprivate typealias HTTPStream = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    /// The connection of a client.
    struct Value: ServerChildChannelValue {
        let channel: any Channel
        /// Its messages, as soon as the protocol is known and the router needs them.
        fileprivate let accepted: EventLoopFuture<Accepted>
    }

    /// The connection of a client with a known protocol.
    fileprivate enum Accepted: Sendable {
        case http1(HTTPStream)
        case http2(NIOHTTP2Handler.AsyncStreamMultiplexer<HTTPStream>)
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
    /// The maximum number of concurrent streams of a connection of HTTP/2.
    private static let streamsMax = 100

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            let connection = connections.open(channel)
            if let tls { try pipeline.addHandler(tls.makeHandler()) }
            try channel.syncOptions?.setOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: Self.readBufferBytes, initial: Self.readBufferBytes, maximum: 65_536))
            let accepted = channel.eventLoop.makePromise(of: Accepted.self)
            // The refusal of a connection does not wait for the client.
            guard connection.isAccepted else {
                try configureHTTP1(channel, connection, logger, accepted)
                return Value(channel: channel, accepted: accepted.futureResult)
            }
            try pipeline.addHandler(
                ProtocolDetector(timeLimit: .seconds(Int64(settings.idleSeconds))) { isHTTP2 in
                    do {
                        if isHTTP2 {
                            accepted.succeed(try configureHTTP2(channel, connection, logger))
                        } else {
                            try configureHTTP1(channel, connection, logger, accepted)
                        }
                    } catch {
                        accepted.fail(error)
                    }
                } ended: {
                    connection.closed()
                    accepted.fail(ChannelError.eof)
                })
            return Value(channel: channel, accepted: accepted.futureResult)
        }
    }

    private func configureHTTP1(
        _ channel: any Channel, _ connection: ConnectionRegistry.Connection, _ logger: Logger,
        _ accepted: EventLoopPromise<Accepted>
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        let upgrade = UpgradeSignal()
        let encoder = HTTPResponseEncoder()
        let validator = makeValidator(
            connection, upgrade, idleMax: .seconds(Int64(settings.idleSeconds)), logger)
        try pipeline.addHandlers([encoder, ByteToMessageHandler(HTTPMessageDecoder(upgrade: upgrade))])
        try pipeline.addHandlers(makeHandlers(validator))
        try validator.acceptEncodedResponses(pipeline.context(handler: encoder))
        try pipeline.addHandler(
            RouterConnector {
                accepted.completeWith(
                    Result {
                        .http1(
                            try NIOAsyncChannel(
                                wrappingChannelSynchronously: channel,
                                configuration: .init(isOutboundHalfClosureEnabled: true)))
                    })
            } ended: {
                accepted.fail(ChannelError.eof)
            })
    }

    private func configureHTTP2(
        _ channel: any Channel, _ connection: ConnectionRegistry.Connection, _ logger: Logger
    ) throws -> Accepted {
        channel.closeFuture.whenComplete { _ in connection.closed() }
        let pipeline = channel.pipeline.syncOperations
        let idleMax = TimeAmount.seconds(Int64(settings.idleSeconds))
        let manager = NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop,
            configuration: .init(maxIdleTime: idleMax, maxAge: nil, maxGraceTime: nil, keepalive: nil))
        var configuration = NIOHTTP2Handler.Configuration()
        configuration.connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: Self.streamsMax),
            HTTP2Setting(parameter: .maxHeaderListSize, value: HTTPMessageDecoder.headerBytesMax),
        ]
        try pipeline.addHandler(EarlySettings())
        let streams = try pipeline.configureAsyncHTTP2Pipeline(
            mode: .server, streamDelegate: manager.http2StreamDelegate, configuration: configuration
        ) { stream in
            stream.eventLoop.makeCompletedFuture { try configure(stream, of: connection, logger) }
        }
        try pipeline.addHandlers([manager, UnresponsiveClientHandler(connection, idleMax: idleMax)])
        // The channel was active before, and the handler's timers start with this event.
        manager.channelActive(context: try pipeline.context(handler: manager))
        return .http2(streams)
    }

    /// Adds the handlers of a stream of HTTP/2.
    ///
    /// The connection is closed when it is idle and when the server stops, and not a stream.
    private func configure(
        _ stream: any Channel, of connection: ConnectionRegistry.Connection, _ logger: Logger
    ) throws -> HTTPStream {
        let pipeline = stream.pipeline.syncOperations
        let validator = makeValidator(connections.open(stream, in: connection), UpgradeSignal(), idleMax: nil, logger)
        try pipeline.addHandlers([
            HTTP2FramePayloadToHTTPServerCodec(), HTTP2StreamAdapter(writeTimeout: settings.writeTimeout),
        ])
        try pipeline.addHandlers(makeHandlers(validator))
        return try NIOAsyncChannel(wrappingChannelSynchronously: stream)
    }

    private func makeValidator(
        _ connection: ConnectionRegistry.Connection, _ upgrade: UpgradeSignal, idleMax: TimeAmount?, _ logger: Logger
    ) -> MessageValidator {
        MessageValidator(
            settings: settings, origins: origins, control: control, metrics: metrics, date: date, upgrade: upgrade,
            connection: connection, idleMax: idleMax, logger: logger)
    }

    /// Makes the handlers between the wire format and the router.
    private func makeHandlers(_ validator: MessageValidator) -> [any ChannelHandler] {
        [
            validator, ReadTimeoutHandler(deadline: settings.bodyDeadline, bodyBytesMax: settings.bodyBytesMax),
            WriteTimeoutHandler(deadline: settings.writeTimeout),
        ] + makeFastPathHandlers(validator) + [HTTPTypesCodec(isSecure: tls != nil)]
    }

    func handle(value: Value, logger: Logger) async {
        do {
            // Each of these calls has memory of its own, so a connection that waits here takes little.
            switch try await value.accepted.get() {
            case .http1(let stream): await handle(stream, logger)
            case .http2(let streams): try await handle(streams, logger)
            }
        } catch {
            logger.trace("a connection ended with an error", metadata: ["error": "\(error)"])
        }
    }

    @inline(never)
    private func handle(_ stream: HTTPStream, _ logger: Logger) async {
        await handleHTTP(asyncChannel: stream, logger: logger)
    }

    @inline(never)
    private func handle(
        _ streams: NIOHTTP2Handler.AsyncStreamMultiplexer<HTTPStream>, _ logger: Logger
    ) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for try await stream in streams.inbound { group.addTask { await handle(stream, logger) } }
        }
    }
}
