import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Testing

@testable import LedgerHTTP

@Suite("Connecting connections to the router")
struct RouterConnectorTests {
    private struct Failure: Error {}

    private final class Calls {
        var connected = 0
        var ended = 0
    }

    private static func channel() throws -> (EmbeddedChannel, Calls) {
        let calls = Calls()
        let connector = RouterConnector {
            calls.connected += 1
        } ended: {
            calls.ended += 1
        }
        return (EmbeddedChannel(handler: connector), calls)
    }

    @Test("the first message connects the router, once, and passes")
    func message() throws {
        let (channel, calls) = try Self.channel()
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        #expect(calls.connected == 0)
        let head = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/")
        try channel.writeInbound(HTTPRequestPart.head(head))
        try channel.writeInbound(HTTPRequestPart.end(nil))
        #expect(try channel.readInbound(as: HTTPRequestPart.self) == .head(head))
        #expect(try channel.readInbound(as: HTTPRequestPart.self) == .end(nil))
        _ = try channel.finish()
        #expect(calls.connected == 1 && calls.ended == 0)
    }

    @Test("so do the end of the messages and an error: the router closes the connection then")
    func events() throws {
        let (closed, closedCalls) = try Self.channel()
        closed.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(closedCalls.connected == 1 && closedCalls.ended == 0)
        let (failed, failedCalls) = try Self.channel()
        failed.pipeline.fireErrorCaught(Failure())
        #expect(failedCalls.connected == 1)
        #expect(throws: Failure.self) { try failed.throwIfErrorCaught() }
    }

    @Test("a connection that ends before is not connected")
    func end() throws {
        let (channel, calls) = try Self.channel()
        _ = try channel.finish()
        #expect(calls.connected == 0 && calls.ended == 1)
    }
}
