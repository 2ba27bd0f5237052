import Foundation
import HTTPTypes
import Ledger
import LedgerTestSupport
import LedgerWire
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPTypes
import Testing

@testable import LedgerHTTP

@Suite("HTTP/2")
struct HTTP2Tests {
    @Test("requests of one connection get the responses of HTTP/1.1")
    func requests() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let event = Array(#"{"type":"progress","task":"t","label":"l","total":5,"done":2}"#.utf8)
            let json = ["Content-Type": "application/json"]
            try await client.withHTTP2 { connection in
                let appended = try await connection.request(
                    "POST", "/v1/jobs/\(job)/events", headers: json, body: event)
                #expect(appended.status == 201)
                let routed = try await connection.request(
                    "POST", "/v1/jobs/\(job)/events?wait=folded", headers: json, body: event)
                #expect(routed.status == 201)
                // The page of a running job changes with the time.
                let end = Array(#"{"type":"job_finished","outcome":"completed"}"#.utf8)
                let ended = try await connection.request(
                    "POST", "/v1/jobs/\(job)/events?wait=folded", headers: json, body: end)
                #expect(ended.status == 201)
                for path in [
                    "/v1/jobs/\(job)", "/v1/jobs/\(job)/events", "/jobs/\(job)", "/v1/jobs/none", "/pages/style.css",
                    "/v1/jobs?limit=x", "/v1/nothing", "/v1/jobs/\(job)/export",
                ] {
                    let (new, old) = try await (connection.request("GET", path), client.get(path))
                    #expect(new.status == old.status, "\(path)")
                    let digits = /[0-9.]+/
                    #expect(
                        new.textWithoutID.replacing(digits, with: "")
                            == old.textWithoutID.replacing(digits, with: ""), "\(path)")
                    let ignored = ["date", "connection", "content-length", "transfer-encoding"]
                    let (newNames, oldNames) = (Set(new.headers.keys), Set(old.headers.keys))
                    #expect(newNames.subtracting(ignored) == oldNames.subtracting(ignored), "\(path)")
                    #expect(new.headers["connection"] == nil, "\(path)")
                }
                let tag = try #require(try await connection.request("GET", "/v1/jobs/\(job)").headers["etag"])
                let unchanged = try await connection.request("GET", "/v1/jobs/\(job)", headers: ["If-None-Match": tag])
                #expect(unchanged.status == 304 && unchanged.body.isEmpty)
                let head = try await connection.request("HEAD", "/v1/jobs/\(job)")
                #expect(head.status == 200 && head.body.isEmpty && head.headers["content-length"] != nil)
                let zipped = try await connection.request("GET", "/openapi.json", headers: ["Accept-Encoding": "gzip"])
                #expect(zipped.headers["content-encoding"] == "gzip")
            }
        }
    }

    @Test("the rules of hosts, origins, bodies and the base path hold for each stream")
    func rules() async throws {
        try await withServer {
            $0.basePath = "/ledger"
            $0.bodyBytesMax = 100_000
        } _: { client, _ in
            let json = ["Content-Type": "application/json"]
            try await client.withHTTP2 { connection in
                let foreign = try await connection.request("GET", "/v1/jobs", headers: ["host": "evil.example"])
                #expect(foreign.status == 421)
                #expect(try foreign.json["detail"]?.text?.contains("--allowed-host evil.example") == true)
                let page = try await connection.request(
                    "POST", "/v1/jobs", headers: json.merging(["Origin": "https://evil.example"]) { $1 },
                    body: Array(#"{"name":"j"}"#.utf8))
                #expect(page.status == 403)
                let created = try await connection.request(
                    "POST", "/ledger/v1/jobs", headers: json, body: Array(#"{"name":"j"}"#.utf8))
                #expect(created.status == 201 && created.headers["location"]?.hasPrefix("/ledger/v1/jobs/") == true)
                let large = try await connection.request(
                    "POST", "/v1/jobs", headers: json, body: Array(repeating: 0x20, count: 200_000))
                #expect(large.status == 413)
                // The connection still serves other streams.
                #expect(try await connection.request("GET", "/ledger/healthz").status == 200)
            }
        }
    }

    @Test("a head has the limits of HTTP/1.1, and may repeat its authority")
    func heads() throws {
        func receive(_ path: String, _ fields: HTTPFields) throws -> HTTPRequestHead? {
            let channel = EmbeddedChannel(handler: HTTP2StreamAdapter(writeTimeout: .seconds(1)))
            let request = HTTPRequest(
                method: .get, scheme: "http", authority: "localhost", path: path, headerFields: fields)
            try channel.writeInbound(HTTPRequestPart.head(request))
            guard case .head(let head)? = try channel.readInbound(as: HTTPServerRequestPart.self) else { return nil }
            return head
        }
        let host = try #require(HTTPField.Name("host"))
        let long = String(repeating: "x", count: 16_385)
        #expect(throws: RequestTooLarge.target) { try receive("/\(long)", [:]) }
        #expect(throws: RequestTooLarge.header) { try receive("/", [.accept: long]) }
        let many = HTTPFields(Array(repeating: HTTPField(name: .accept, value: "x"), count: 200))
        #expect(throws: RequestTooLarge.header) { try receive("/", many) }
        #expect(try receive("/\(long.dropLast(2))", [.accept: String(long.dropLast())])?.uri.utf8.count == 16_384)
        #expect(try receive("/", [host: "localhost"])?.headers["host"] == ["localhost"])
        #expect(try receive("/", [host: "other"])?.headers["host"].count == 2)
    }

    @Test("a hundred requests are in progress at once on one connection, and it is not idle meanwhile")
    func concurrency() async throws {
        try await withServer {
            $0.idleSeconds = 5
        } _: { client, _ in
            let job = try await client.createJob()
            let tag = try #require(try await client.get("/v1/jobs/\(job)").headers["etag"])
            try await client.withHTTP2 { connection in
                let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<100 {
                        group.addTask {
                            try await connection.request(
                                "GET", "/v1/jobs/\(job)", headers: ["If-None-Match": tag, "Prefer": "wait=7"]
                            ).status
                        }
                    }
                    return try await group.reduce(into: [Int]()) { $0.append($1) }
                }
                #expect(statuses == Array(repeating: 304, count: 100))
            }
            // Without a request the connection is closed.
            try await client.withHTTP2 { connection in
                #expect(try await connection.request("GET", "/healthz").status == 200)
                try await connection.channel.closeFuture.get()
            }
        }
    }

    /// Returns all bytes that a server sends after the preface and these bytes.
    ///
    /// A server that ends a connection while bytes of the client are on the way resets it.
    private func bytes(_ client: RawClient, to sent: [UInt8]) async throws -> [UInt8] {
        try await client.connect().executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + sent))
            var received: [UInt8] = []
            do {
                for try await bytes in inbound { received.append(contentsOf: bytes.readableBytesView) }
            } catch let error as IOError where error.errnoCode == ECONNRESET {}
            return received
        }
    }

    /// Returns the types and flags of all frames that a server sends.
    private func frames(_ client: RawClient, to sent: [UInt8]) async throws -> [[UInt8]] {
        var received = try await bytes(client, to: sent)
        var frames: [[UInt8]] = []
        while received.count >= 9 {
            frames.append([received[3], received[4]])
            received.removeFirst(min(received.count, 9 + Int(received[1]) << 8 + Int(received[2])))
        }
        return frames
    }

    @Test("a header over 16 KiB in the first request gets 431, before the settings are confirmed")
    func firstHeader() async throws {
        try await withServer {
            $0.idleSeconds = 2
        } _: { client, _ in
            let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
            let confirmation: [UInt8] = [0, 0, 0, 4, 1, 0, 0, 0, 0]
            let start: [UInt8] = [0x82, 0x86, 0x04, 8] + Array("/healthz".utf8) + [0x01, 9] + Array("localhost".utf8)
            // A literal field with a value of 20,000 bytes: RFC 7541, sections 5.1 and 6.2.2.
            let long: [UInt8] =
                [0, 6] + Array("x-long".utf8) + [0x7F, 0xA1, 0x9B, 0x01] + Array(repeating: 0x78, count: 20_000)
            let block = start + long
            func frame(_ type: UInt8, _ flags: UInt8, stream: UInt8, _ payload: some Collection<UInt8>) -> [UInt8] {
                [0, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF), type, flags, 0, 0, 0, stream] + payload
            }
            let request = frame(1, 1, stream: 1, block.prefix(16_000)) + frame(9, 4, stream: 1, block.dropFirst(16_000))
            // A later request of the same connection.
            let short = frame(1, 5, stream: 3, start)
            let received = String(
                decoding: try await bytes(client, to: settings + request + confirmation + short), as: UTF8.self)
            #expect(received.contains(#""status":431"#) && received.contains(#"{"status":"ok"}"#))
        }
    }

    @Test("a client that takes no response is disconnected")
    func closedWindow() async throws {
        try await withServer {
            $0.idleSeconds = 2
            $0.writeTimeout = .seconds(1)
        } _: { client, _ in
            let settings: [UInt8] = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]
            let block = [0x82, 0x86, 0x04, 8] + Array("/healthz".utf8) + [0x01, 9] + Array("localhost".utf8)
            let request = [0, 0, UInt8(block.count), 1, 5, 0, 0, 0, 1] + block
            let received = try await frames(client, to: settings + request)
            // The head of the response, but not its body, and the end of the stream.
            #expect(received.contains([1, 4]) && !received.contains { $0[0] == 0 } && received.contains([3, 0]))
        }
    }

    @Test("a client may send PINGs, and one that does not respond is disconnected when it is idle")
    func pings() async throws {
        try await withServer {
            $0.idleSeconds = 2
        } _: { client, _ in
            let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
            let ping: [UInt8] = [0, 0, 8, 6, 0, 0, 0, 0, 0] + Array(repeating: 7, count: 8)
            let start = ContinuousClock.now
            let received = try await frames(client, to: settings + Array(repeating: ping, count: 20).joined())
            #expect(received.count { $0 == [6, 1] } == 20)
            #expect(start.duration(to: .now) < .seconds(60))
        }
    }

    @Test("the first bytes may arrive in pieces, and are not awaited for ever")
    func detection() async throws {
        try await withServer {
            $0.idleSeconds = 4
        } _: { client, _ in
            // A method that begins like the preface of HTTP/2.
            let pieces = ["P", "R", "I", "X / HTTP/1.1\r\nHost: localhost\r\n\r\n"]
            let responses = try await client.sendPipelined(pieces)
            #expect(responses.map(\.status) == [400])
            let (silent, started) = (try await client.connect(), ContinuousClock.now)
            try await silent.executeThenClose { inbound, outbound in
                try await outbound.write(ByteBuffer(string: "PRI * HTTP/2.0\r\n"))
                for try await _ in inbound {}
            }
            #expect(started.duration(to: .now) < .seconds(30))
        }
    }
}
