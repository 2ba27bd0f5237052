import HTTPTypes
import Ledger
import LedgerTestSupport
import LedgerWire
import Logging
import Testing

@testable import LedgerHTTP

@Suite("Request ids and trace contexts")
struct RequestIdentityTests {
    private static let traceID = "0af7651916cd43dd8448eb211c80319c"
    private static let traceparent = "00-\(traceID)-b7ad6b7169203331-01"
    private static let unknownJob = "0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192"

    /// Runs the closure with a server and its log.
    ///
    /// - Parameter trustedProxy: The address of a proxy that the server trusts.
    private func withLog(
        trustedProxy: String? = nil, _ body: (RawClient, LogRecorder) async throws -> Void
    ) async throws {
        var settings = ServerSettings()
        settings.port = 0
        if let trustedProxy { settings.trustedProxies = try #require(TrustedProxies([trustedProxy])) }
        let recorder = LogRecorder(level: .notice)
        try await withServer(on: InMemoryLedger(), settings, logger: recorder.logger) { try await body($0, recorder) }
    }

    /// Requests that fail, by the part of the server that responds to them.
    private static let failures: [(method: String, path: String, headers: [String: String], status: Int)] = [
        ("GET", "/v1/jobs/\(unknownJob)", [:], 404),
        ("POST", "/v1/jobs/\(unknownJob)/events", ["Content-Type": "application/json"], 404),
        ("POST", "/v1/jobs/\(unknownJob)/events?wait=folded", ["Content-Type": "application/json"], 404),
        ("GET", "/v1/jobs?limit=0", [:], 422), ("GET", "/v1/nothing", [:], 404),
        ("GET", "/v1/jobs/\(unknownJob)/watch", [:], 404), ("GET", "/v1/jobs", ["Host": "evil.example"], 421),
        ("DELETE", "/v1/jobs", [:], 405),
    ]

    @Test("every problem has the id of its request, as does each line of the log", arguments: [false, true])
    func problems(overHTTP2: Bool) async throws {
        try await withLog { client, recorder in
            var ids: Set<String> = []
            for (method, path, headers, status) in Self.failures {
                let linesBefore = recorder.logged.count
                let headers = headers.merging(["traceparent": Self.traceparent]) { $1 }
                let body = method == "POST" ? Array(#"{"type":"progress","task":"t"}"#.utf8) : nil
                let response =
                    overHTTP2
                    ? try await client.requestOverHTTP2(method, path, headers: headers, body: body)
                    : try await client.send(method, path, headers, body.map { String(decoding: $0, as: UTF8.self) })
                #expect(response.status == status, "\(path)")
                let id = try #require(try response.json["request_id"]?.text, "\(path)")
                #expect(id.wholeMatch(of: /[0-9a-f]{16}/) != nil && response.headers["x-request-id"] == id, "\(path)")
                #expect(try response.json["trace_id"]?.text == Self.traceID, "\(path)")
                #expect(ids.insert(id).inserted, "\(path)")
                for line in recorder.logged.dropFirst(linesBefore) {
                    #expect(line.metadata["request.id"] == "\(id)", "\(line)")
                    #expect(line.metadata["trace.id"] == "\(Self.traceID)", "\(line)")
                    #expect(line.metadata["hb.request.id"] == nil, "\(line)")
                }
            }
            // The two appends to an unknown job, on the fast and on the routed path, and the refused host.
            #expect(
                recorder.logged.map(\.message) == [
                    "the ledger refused a request", "the ledger refused a request", "refused a request",
                ])
        }
    }

    @Test("a successful response has no id, and a request that cannot be read has one")
    func otherResponses() async throws {
        try await withLog { client, _ in
            #expect(try await client.get("/healthz").headers["x-request-id"] == nil)
            let unreadable = try await client.send(Array("GARBAGE\r\n\r\n".utf8))
            #expect(unreadable.status == 400)
            #expect(try unreadable.json["request_id"]?.text == unreadable.headers["x-request-id"])
            #expect(unreadable.headers["x-request-id"]?.utf8.count == 16)
            let page = try await client.get("/jobs/\(Self.unknownJob)", headers: ["Accept": "text/html"])
            let id = try #require(page.headers["x-request-id"])
            #expect(page.status == 404 && String(decoding: page.body, as: UTF8.self).contains("<code>\(id)</code>"))
            let head = try await client.request("HEAD", "/v1/jobs/none")
            #expect(head.status == 404 && head.headers["x-request-id"] != nil)
        }
    }

    @Test("the X-Request-Id of a trusted proxy counts, but not that of any other client")
    func givenIDs() async throws {
        func id(_ given: String, _ path: String, _ client: RawClient) async throws -> String? {
            let response = try await client.send("GET", path, ["X-Request-Id": given])
            #expect(try response.json["request_id"]?.text == response.headers["x-request-id"])
            return response.headers["x-request-id"]
        }
        let paths = ["/v1/jobs/\(Self.unknownJob)", "/v1/jobs/none", "/v1/jobs/\(Self.unknownJob)/watch"]
        try await withLog(trustedProxy: "127.0.0.1") { client, _ in
            for path in paths { #expect(try await id("7f-a.B_9", path, client) == "7f-a.B_9", "\(path)") }
            for invalid in ["", "a b", "\u{e9}", "<script>", "\"", String(repeating: "x", count: 129)] {
                let made = try await id(invalid, paths[0], client)
                #expect(made?.wholeMatch(of: /[0-9a-f]{16}/) != nil, "\(invalid)")
            }
            let refused = try await client.get(
                "/", headers: ["X-Request-Id": "p1", "X-Forwarded-Prefix": "not a path"])
            #expect(refused.status == 400 && refused.headers["x-request-id"] == "p1")
            let twice = try await client.send(
                Array(
                    """
                    GET /v1/x HTTP/1.1\r
                    Host: localhost\r
                    X-Request-Id: a\r
                    x-request-id: b\r
                    Connection: close\r
                    \r

                    """.utf8))
            #expect(twice.headers["x-request-id"]?.utf8.count == 16)
        }
        for other in [nil, "192.0.2.1"] {
            try await withLog(trustedProxy: other) { client, _ in
                for path in paths + ["/v1/nothing"] {
                    let made = try await id("7f-a.B_9", path, client)
                    #expect(made?.wholeMatch(of: /[0-9a-f]{16}/) != nil, "\(path)")
                }
            }
        }
    }

    @Test("a trace context is read as its specification says, and ignored if it is invalid")
    func traceContexts() throws {
        let context = try #require(TraceContext(Self.traceparent))
        #expect(context.traceID == Self.traceID && context.spanID == "b7ad6b7169203331")
        // A later version may be longer.
        #expect(TraceContext("cc-\(Self.traceID)-b7ad6b7169203331-01-more") == context)
        #expect(TraceContext("cc-\(Self.traceID)-b7ad6b7169203331-01") == context)
        let zeros = String(repeating: "0", count: 32)
        for invalid in [
            "", "00", "00-\(Self.traceID)-b7ad6b7169203331", "\(Self.traceparent)-more", "\(Self.traceparent)x",
            "ff-\(Self.traceID)-b7ad6b7169203331-01", "00-\(zeros)-b7ad6b7169203331-01",
            "00-\(Self.traceID)-0000000000000000-01", "00-\(Self.traceID.uppercased())-b7ad6b7169203331-01",
            "00_\(Self.traceID)-b7ad6b7169203331-01", "0x-\(Self.traceID)-b7ad6b7169203331-01",
            "cc-\(Self.traceID)-b7ad6b7169203331-01.more", " \(Self.traceparent)",
        ] {
            #expect(TraceContext(invalid) == nil, "\(invalid)")
        }
        let name = try #require(HTTPField.Name("traceparent"))
        let field = HTTPField(name: name, value: Self.traceparent)
        #expect(RequestIdentity(HTTPFields([field])).trace == context)
        #expect(RequestIdentity(HTTPFields([field, field])).trace == nil)
    }
}
