import HTTPTypes
import LedgerStore
import LedgerTestSupport
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import LedgerHTTP

/// How a connection ends: accepted requests, and the time after the last response.
@Suite("Message validation")
struct MessageValidatorTests {
    /// Keeps the channel open while only its output is closed, as a socket does.
    ///
    /// An embedded channel does not support half-closure.
    private final class HalfClosure: ChannelOutboundHandler {
        typealias OutboundIn = Never

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if mode == .output { promise?.succeed() } else { context.close(mode: mode, promise: promise) }
        }
    }

    private func makeChannel() throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        let connection = ConnectionRegistry(connectionsMax: 64).open(channel)
        try channel.pipeline.syncOperations.addHandlers([
            HalfClosure(),
            MessageValidator(
                settings: ServerSettings(), origins: OriginPolicy(host: "127.0.0.1", allowedHosts: []),
                control: AccessControl(service: InMemoryLedger()), metrics: HTTPMetrics(), date: HTTPDate(),
                upgrade: UpgradeSignal(),
                connection: connection, idleMax: nil, logger: TestCluster.logger),
        ])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    private var post: HTTPServerRequestPart {
        .head(HTTPRequestHead(version: .http1_1, method: .POST, uri: "/v1/jobs", headers: ["host": "localhost"]))
    }

    private func forwardedHeadCount(_ channel: EmbeddedChannel) throws -> Int {
        var count = 0
        while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
            if case .head = part { count += 1 }
        }
        return count
    }

    private func sendLastResponseHead(_ channel: EmbeddedChannel) throws {
        let head = HTTPResponseHead(version: .http1_1, status: .payloadTooLarge, headers: ["connection": "close"])
        try channel.writeOutbound(HTTPServerResponsePart.head(head))
    }

    @Test("a request that begins after the head of the last response is not forwarded")
    func afterTheLastResponse() throws {
        // The response begins before the end of the request's body, then after it.
        for isEarly in [true, false] {
            let channel = try makeChannel()
            try channel.writeInbound(post)
            if isEarly { try sendLastResponseHead(channel) }
            try channel.writeInbound(HTTPServerRequestPart.end(nil))
            if !isEarly { try sendLastResponseHead(channel) }
            try channel.writeInbound(post)
            try channel.writeInbound(HTTPServerRequestPart.end(nil))
            #expect(try forwardedHeadCount(channel) == 1)
            _ = try channel.finish(acceptAlreadyClosed: true)
        }
    }

    @Test("a client may read the refusal of an invalid message as long as it keeps sending")
    func keepsSendingAfterAnError() throws {
        let channel = try makeChannel()
        channel.pipeline.fireErrorCaught(HTTPParserError.invalidMethod)
        for _ in 0..<3 {
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            channel.pipeline.fireErrorCaught(
                ByteToMessageDecoderError.dataReceivedInErrorState(HTTPParserError.invalidMethod, ByteBuffer()))
            channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            #expect(channel.isActive)
        }
        channel.embeddedEventLoop.advanceTime(by: .seconds(2))
        #expect(!channel.isActive)
    }
}
