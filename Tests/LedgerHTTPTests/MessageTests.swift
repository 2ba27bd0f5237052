import Glibc
import LedgerHTTP
import LedgerTestSupport
import LedgerWire
import NIOCore
import Testing

/// Unusual and invalid HTTP messages from clients and proxies.
@Suite("Messages")
struct MessageTests {
    private static let plain = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    private func send(_ client: RawClient, _ text: String) async throws -> RawResponse {
        try await client.send(Array(text.utf8))
    }

    @Test("a request for another protocol is ignored, and the connection stays open")
    func upgradeIsIgnored() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
            let event = #"{"type":"progress","task":"t"}"#
            let get = "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\n\(upgrade)\r\n"
            let post =
                "POST /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\n\(upgrade)Content-Type: application/json\r\n"
                + "Content-Length: \(event.utf8.count)\r\n\r\n\(event)"
            // The requests arrive one after the other, then all in one packet.
            let spaced = try await client.sendPipelined([get, post, get, Self.plain])
            #expect(spaced.map(\.status) == [200, 201, 200, 200])
            let packed = try await client.sendPipelined([get + post + get + post + Self.plain])
            #expect(packed.map(\.status) == [200, 201, 200, 201, 200])
            // The requests arrive byte by byte.
            let bytes = (get + post + Self.plain).utf8.map { String(UnicodeScalar($0)) }
            #expect(try await client.sendPipelined(bytes).map(\.status) == [200, 201, 200])
        }
    }

    @Test("each request of a connection has its own header fields, however similar the last one's are")
    func fieldsOfOneConnection() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let tag = try #require(try await client.get("/v1/jobs/\(job)").headers["etag"])
            func get(_ fields: String) -> String {
                "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n"
            }
            let (match, other) = ("If-None-Match: \(tag)\r\n", "If-None-Match: \"x\"\r\n")
            let responses = try await client.sendPipelined([
                get(match), get(match), get(other), get(""), get("X-None-Match: \(tag)\r\n"), get("A: b\r\n" + match),
                get("if-none-match: \(tag)\r\n"), get(other + match), get("Accept: */*\r\n"), get(match + "A: b\r\n"),
            ])
            #expect(responses.map(\.status) == [304, 304, 200, 200, 200, 304, 304, 304, 200, 304])
            // The second key is another text, although Swift's comparison of texts makes no difference.
            let posts = ["K1", "\u{212A}1"].map { key in
                "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: \(key)\r\n"
                    + "Content-Length: 12\r\n\r\n{\"name\":\"j\"}"
            }
            #expect(try await client.sendPipelined(posts).map(\.status) == [201, 422])
        }
    }

    @Test("an incomplete or unreadable body is the client's error: 400, and no 5xx is counted")
    func brokenBodies() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let head = "POST /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            let large = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
            let chunked = "Transfer-Encoding: chunked\r\n\r\n"
            for broken in [
                head + "Content-Length: 40\r\n\r\n{\"type\"", head + "Content-Length: 400000\r\n\r\n{\"type\"",
                large + "Content-Length: 40\r\n\r\n{", head + chunked + "zz\r\n{}\r\n0\r\n\r\n",
                head + chunked + "-1\r\n{}\r\n", head + chunked + "2\r\n{}x\r\n0\r\n\r\n",
                head + chunked + "ffffffffffffffffff\r\n{}", head + chunked + "5\r\n{}",
                large + chunked + "3\r\n{}\n1\r\n",
            ] {
                let responses = try await client.sendPipelined([broken])
                #expect(responses.map(\.status) == [400], "\(broken)")
                #expect(responses.first?.headers["content-type"] == "application/problem+json", "\(broken)")
                #expect(responses.first?.headers["connection"] == "close", "\(broken)")
            }
            let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
            #expect(!metrics.contains("status=\"5xx\""))
            #expect(try await client.get("/v1/jobs/\(job)").json["ledger_sequence"] == .integer(1))
        }
    }

    @Test("messages that the parser rejects get problem+json with the right status")
    func refusals() async throws {
        try await withServer { client, _ in
            let start = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
            let cases: [(String, Int)] = [
                ("GET /v1/jobs?name=\(String(repeating: "x", count: 20_000)) HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
                ("GET /\(String(repeating: "x", count: 200_000)) HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
                (start + "X-Long: \(String(repeating: "x", count: 20_000))\r\n\r\n", 431),
                (start + String(repeating: "X-Many: x\r\n", count: 200) + "\r\n", 431),
                (
                    start + String(repeating: "X-Much: \(String(repeating: "x", count: 10_000))\r\n", count: 10)
                        + "\r\n", 431
                ),
                (start + "X-Control: a\u{1}b\r\n\r\n", 400), (start + "X Space: a\r\n\r\n", 400),
                ("GET /a\u{1}b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400), ("nonsense\r\n\r\n", 400),
                ("PRI * HTTP/2.0\r\n\r\nSM\r\n\rx", 400), (start + "Content-Length: x\r\n\r\n", 400),
                ("GET /healthz HTTP/1.1\r\n\r\n", 400), (start + "Host: other\r\n\r\n", 400),
                ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
                ("GET /healthz HTTP/1.1\r\nHost: user@host\r\n\r\n", 400),
                ("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9223372036854775808\r\n\r\n", 413),
                (start + "Content-Length: 9223372036854775808\r\n\r\n", 413),
                ("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
                ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
            ]
            for (request, status) in cases {
                let response = try await send(client, request)
                #expect(response.status == status, "\(request.prefix(60))")
                #expect(response.headers["content-type"] == "application/problem+json", "\(request.prefix(60))")
                #expect(try response.json["status"] == .integer(Int128(status)), "\(request.prefix(60))")
                #expect(response.headers["connection"] == "close", "\(request.prefix(60))")
            }
            // A refusal comes after the responses before it.
            let responses = try await client.sendPipelined([Self.plain + Self.plain + "GET /healthz HTTP/1.1\r\n\r\n"])
            #expect(responses.map(\.status) == [200, 200, 400])
            let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
            #expect(!metrics.contains("status=\"5xx\""))
        }
    }

    @Test("OPTIONS names the methods of a path, and HEAD is GET without its body")
    func otherMethods() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let options = try await client.request("OPTIONS", "/v1/jobs/\(job)/events")
            #expect(options.status == 204)
            #expect(options.headers["allow"] == "GET, HEAD, OPTIONS, POST")
            #expect(try await client.request("OPTIONS", "*").status == 204)
            #expect(try await client.request("OPTIONS", "/nothing").status == 404)
            for path in ["/v1/jobs/\(job)", "/v1/jobs", "/healthz", "/v1/jobs/\(job)/events", "/openapi.json"] {
                let get = try await client.get(path)
                let head = try await client.request("HEAD", path)
                #expect(head.status == 200)
                #expect(head.body.isEmpty)
                #expect(head.headers["content-length"] == get.headers["content-length"], "\(path)")
                #expect(head.headers["etag"] == get.headers["etag"])
            }
            #expect(try await client.request("HEAD", "/v1/jobs/\(job)/watch").status == 200)
            #expect(try await client.request("HEAD", "/nothing").body.isEmpty)
        }
    }

    @Test("an HTTP/1.0 client gets the responses that it expects, with and without keep-alive")
    func oldClients() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let plain = try await send(client, "GET /v1/jobs/\(job) HTTP/1.0\r\n\r\n")
            #expect(plain.status == 200)
            #expect(plain.headers["connection"] == "close")
            let kept = "GET /v1/jobs/\(job) HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
            let responses = try await client.sendPipelined([kept + kept + "GET /healthz HTTP/1.0\r\n\r\n" + kept])
            #expect(responses.map(\.status) == [200, 200, 200])
            #expect(responses.map { $0.headers["connection"] } == ["keep-alive", "keep-alive", "close"])
            // The client does not support chunks, so a stream ends with the connection.
            let stream = try await send(
                client,
                "GET /v1/jobs/\(job)/events HTTP/1.0\r\nAccept: application/x-ndjson\r\nConnection: keep-alive\r\n\r\n")
            #expect(stream.headers["transfer-encoding"] == nil)
            #expect(stream.headers["connection"] == "close")
            #expect(try JSONReader.read(stream.body.dropLast())["type"]?.text == "job_created")
        }
    }

    @Test("a connection is closed after the response to Connection: close, in any letter case")
    func closes() async throws {
        try await withServer { client, _ in
            for field in ["Connection: Close", "connection: close, te", "Connection: CLOSE"] {
                let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\(field)\r\n\r\n"
                let response = try await send(client, request)
                #expect(response.headers["connection"] == "close")
                #expect(try await client.sendPipelined([request + Self.plain]).count == 1)
            }
        }
    }

    @Test("entity tags are compared weakly, in lists and on every route")
    func entityTags() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for path in [
                "/v1/jobs/\(job)", "/v1/jobs/\(job)/progress", "/v1/jobs/\(job)/progress?policy=all",
                "/v1/jobs/\(job)/badge.svg",
            ] {
                let tag = try #require(try await client.get(path).headers["etag"])
                let opaque = tag.hasPrefix("W/") ? String(tag.dropFirst(2)) : tag
                for matching in [
                    tag, opaque, "W/\(opaque)", "\"a\", W/\"b\",\(opaque)", "*", " * ", "\"x\" ,\t\(opaque)\t",
                ] {
                    #expect(
                        try await client.get(path, headers: ["If-None-Match": matching]).status == 304,
                        "\(path) \(matching)")
                }
                for other in ["\"a\"", "W/\"a\", \"b\"", "\"\"", "W/*", ""] {
                    #expect(
                        try await client.get(path, headers: ["If-None-Match": other]).status == 200, "\(path) \(other)")
                }
            }
        }
    }

    /// The response to a connection beyond the limit.
    ///
    /// The server may close the connection before the client has written its request.
    private func refusal(_ client: RawClient) async throws -> RawResponse {
        for _ in 1...5 {
            do { return try await client.get("/healthz") } catch is ChannelError { continue }
        }
        return try await client.get("/healthz")
    }

    @Test("idle connections are closed for new ones; if none is idle, a new one is refused")
    func connectionsBeyondTheLimit() async throws {
        try await withServer({ $0.connectionsMax = 3 }) { client, _ in
            let job = try await client.createJob()
            // Idle connections, one of which sends half a request.
            var idle: [NIOAsyncChannel<ByteBuffer, ByteBuffer>] = []
            for _ in 0..<3 { idle.append(try await client.connect()) }
            // The connection that created the job may still count, so the first of these may be closed already.
            do { try await idle[0].channel.writeAndFlush(ByteBuffer(string: "GET /healthz HT")) } catch is ChannelError
            {}
            #expect(try await client.get("/healthz").status == 200)
            for channel in idle {
                // The server has closed some of them to make room.
                do { try await channel.executeThenClose { _, _ in } } catch is ChannelError { continue }
            }
            try await EventSource.open(client, "/v1/jobs/\(job)/watch") { _ in
                try await EventSource.open(client, "/v1/jobs/\(job)/watch") { _ in
                    try await EventSource.open(client, "/v1/jobs/\(job)/watch") { _ in
                        let refused = try await refusal(client)
                        #expect(refused.status == 503)
                        #expect(try refused.json["title"]?.text == "Too many connections")
                        #expect(refused.headers["retry-after"] == "1")
                    }
                }
            }
            try await eventually(equals: 200) { try await client.get("/healthz").status }
        }
    }

    /// Sends bytes on a new connection.
    ///
    /// - Returns: The bytes received until the server closes it.
    private func exchange(_ client: RawClient, _ sent: String) async throws -> String {
        var received = ""
        do {
            try await client.connect().executeThenClose { inbound, outbound in
                try await outbound.write(ByteBuffer(string: sent))
                for try await bytes in inbound { received += String(buffer: bytes) }
            }
        } catch let error as IOError where error.errnoCode == ECONNRESET {
            // On a slow machine the connection may be closed before the bytes are sent.
        }
        return received
    }

    @Test("idle connections are closed after a while, but none with an open request", .timeLimit(.minutes(1)))
    func idleConnections() async throws {
        try await withServer {
            $0.idleSeconds = 3
        } _: { client, _ in
            let job = try await client.createJob()
            let tag = try #require(try await client.get("/v1/jobs/\(job)").headers["etag"])
            let waiting =
                "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \(tag)\r\nPrefer: wait=4\r\n\r\n"
            let start = ContinuousClock.now
            async let empty = exchange(client, "")
            async let half = exchange(client, "GET /healthz HT")
            async let waited = exchange(client, waiting)
            #expect(try await empty.isEmpty)
            #expect(try await half.isEmpty)
            #expect(try await waited.hasPrefix("HTTP/1.1 304 "))
            #expect(start.duration(to: .now) >= .seconds(7))
        }
    }

    @Test("all invalid parameters are listed, and a plus sign that became a space is explained")
    func parameters() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let response = try await client.get("/v1/jobs?limit=0&state=x&nope=1&name=%00&limit=2&tag.a=%00")
            #expect(response.status == 422)
            #expect(try response.pointers == ["limit", "state", "nope", "name", "limit", "tag.a"])
            for path in ["progress?at=", "diff?from="] {
                let hinted = try await client.get("/v1/jobs/\(job)/\(path)2026-11-23T17:30:00+01:00")
                #expect(hinted.status == 422)
                #expect(try hinted.json["errors"]?.elements?.first?["detail"]?.text?.contains("%2B") == true)
                #expect(try await client.get("/v1/jobs/\(job)/\(path)2026-11-23T17:30:00%2B01:00").status == 200)
            }
        }
    }

    @Test("a read with min_sequence waits for the snapshot, and is 504 if it is late")
    func waitsForASequence() async throws {
        try await withServer({ $0.foldDeadline = .milliseconds(500) }) { client, ledger in
            let job = try await client.createJob()
            let late = try await client.get("/v1/jobs/\(job)/progress?min_sequence=9")
            #expect(late.status == 504)
            #expect(late.headers["content-type"] == "application/problem+json")
        }
        try await withServer { client, _ in
            let job = try await client.createJob()
            async let waiting = client.get("/v1/jobs/\(job)/progress?min_sequence=2")
            #expect(try await client.post("/v1/jobs/\(job)/events", #"{"type":"progress","task":"t"}"#).status == 201)
            let response = try await waiting
            #expect(response.status == 200)
            #expect(try response.json["sequence"] == .integer(2))
        }
    }

    @Test("Prefer: wait waits for a change, on the routes of the job and of its progress")
    func waitsForAChange() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for path in ["/v1/jobs/\(job)", "/v1/jobs/\(job)/progress"] {
                let before = try await client.get(path)
                let sequence = try #require(try before.json["sequence"]?.integer)
                let tag = try #require(before.headers["etag"])
                let unchanged = try await client.get(path, headers: ["If-None-Match": tag, "Prefer": "wait=1"])
                #expect(unchanged.status == 304)
                #expect(unchanged.headers["preference-applied"] == "wait=1")
                async let waiting = client.get(path, headers: ["If-None-Match": tag, "Prefer": "wait=30"])
                let event = #"{"type":"progress","task":"t"}"#
                #expect(try await client.post("/v1/jobs/\(job)/events", event).status == 201)
                #expect(try await waiting.json["sequence"] == .integer(sequence + 1))
            }
        }
    }
}
