import LedgerHTTP
import LedgerWire
import NIOCore
import Testing

/// Invalid requests, which are refused with the right status and record nothing.
@Suite("Bad input")
struct BadInputTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let body: String
        let status: Int
        let pointers: [String]

        init(_ body: String, _ status: Int, _ pointers: [String] = []) {
            self.body = body
            self.status = status
            self.pointers = pointers
        }

        var testDescription: String { String(body.prefix(60)) }
    }

    private static let long = String(repeating: "x", count: 201)
    private static let prefix = #"{"type":"progress","task":"t","#

    static let events: [Case] = [
        Case("", 400), Case("{", 400), Case("nonsense", 400), Case(#"{"type":"progress","task":"t"}x"#, 400),
        Case(#"{"type":"progress","task":"t",}"#, 400), Case("\u{FEFF}{}", 400), Case(#"{"a":01}"#, 400),
        Case(#"{"task":"a\#u{1}b"}"#, 400), Case("[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]", 400),
        Case("[]", 422, [""]), Case("7", 422, [""]), Case("null", 422, [""]), Case(#"["a"]"#, 422, ["/0"]),
        Case("{}", 422, ["/type"]), Case(#"{"type":"unknown"}"#, 422, ["/type"]),
        Case(#"{"type":"job_created","name":"x"}"#, 422, ["/type"]), Case(#"{"type":7}"#, 422, ["/type"]),
        Case(#"{"type":"progress"}"#, 422, ["/task"]), Case(#"{"type":"progress","task":null}"#, 422, ["/task"]),
        Case(#"{"type":"progress","task":""}"#, 422, ["/task"]), Case(#"{"type":"progress","task":5}"#, 422, ["/task"]),
        Case(#"{"type":"progress","task":"\#(long)"}"#, 422, ["/task"]),
        Case(#"{"type":"progress","task":"a\u0000b"}"#, 422, ["/task"]),
        Case(#"{"type":"progress","task":"\ud800"}"#, 422, ["/task"]),
        Case(#"{"type":"progress","task":"\udc00\ud800"}"#, 422, ["/task"]),
        Case(prefix + #""done":-1}"#, 422, ["/done"]), Case(prefix + #""done":1.5}"#, 422, ["/done"]),
        Case(prefix + #""done":"1"}"#, 422, ["/done"]), Case(prefix + #""done":true}"#, 422, ["/done"]),
        Case(prefix + #""done":9007199254740992}"#, 422, ["/done"]), Case(prefix + #""total":1e400}"#, 422, ["/total"]),
        Case(prefix + #""total":99999999999999999999999999999999999999999}"#, 422, ["/total"]),
        Case(prefix + #""report":0}"#, 422, ["/report"]), Case(prefix + #""attempt":0}"#, 422, ["/attempt"]),
        Case(prefix + #""attempt":2147483648}"#, 422, ["/attempt"]),
        Case(prefix + #""execution":""}"#, 422, ["/execution"]),
        Case(prefix + #""label":"\#(String(repeating: "l", count: 101))"}"#, 422, ["/label"]),
        Case(prefix + #""at":"yesterday"}"#, 422, ["/at"]),
        Case(prefix + #""at":"2026-02-30T00:00:00Z"}"#, 422, ["/at"]),
        Case(prefix + #""outcome":"failed"}"#, 422, ["/outcome"]), Case(prefix + #""job":"x"}"#, 422, ["/job"]),
        Case(prefix + #""a/b~c":1}"#, 422, ["/a~1b~0c"]), Case(prefix + #""done":1,"done":1}"#, 422, ["/done"]),
        Case(#"{"type":"execution_started","task":"t"}"#, 422, ["/execution"]),
        Case(#"{"type":"execution_finished","task":"t"}"#, 422, ["/outcome"]),
        Case(#"{"type":"execution_finished","task":"t","outcome":"completed"}"#, 422, ["/outcome"]),
        Case(#"{"type":"job_finished","outcome":"succeeded"}"#, 422, ["/outcome"]),
        Case(#"{"type":"job_finished","outcome":"failed","task":"t"}"#, 422, ["/task"]),
        Case(
            #"[{"type":"progress","task":"t"},{"type":"progress"},{"type":"progress","task":"t","done":-1,"total":0.5}]"#,
            422, ["/1/task", "/2/total", "/2/done"]),
    ]

    @Test("an invalid append is refused with the location of each problem, and not recorded")
    func refusesEvents() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for bad in Self.events {
                let response = try await client.post("/v1/jobs/\(job)/events", bad.body)
                #expect(response.status == bad.status, "\(bad)")
                #expect(response.headers["content-type"] == "application/problem+json", "\(bad)")
                if bad.status == 422 { #expect(Set(try response.pointers) == Set(bad.pointers), "\(bad)") }
            }
            #expect(try await client.get("/v1/jobs/\(job)").json["ledger_sequence"] == .integer(1))
        }
    }

    static let jobs: [Case] = [
        Case("{}", 422, ["/name"]), Case(#"{"name":""}"#, 422, ["/name"]),
        Case(#"{"name":"\#(long)"}"#, 422, ["/name"]),
        Case(#"{"name":"n","key":""}"#, 422, ["/key"]), Case(#"{"name":"n","tags":[]}"#, 422, ["/tags"]),
        Case(#"{"name":"n","tags":{"a":1}}"#, 422, ["/tags/a"]),
        Case(#"{"name":"n","tags":{"a/b":null}}"#, 422, ["/tags/a~1b"]),
        Case(#"{"name":"n","tags":{"":"x"}}"#, 422, ["/tags/"]), Case(#"{"name":"n","more":1}"#, 422, ["/more"]),
        Case(#"{"name":"n","tags":{"a":"1","a":"2"}}"#, 422, ["/tags/a"]),
        Case(#"{"name":"n","tags":{\#((0...50).map { "\"\($0)\":\"\"" }.joined(separator: ","))}}"#, 422, ["/tags"]),
        Case("[", 400), Case("\"n\"", 422, [""]),
    ]

    @Test("an invalid job is refused with the location of the problem")
    func refusesJobs() async throws {
        try await withServer { client, _ in
            for bad in Self.jobs {
                let response = try await client.post("/v1/jobs", bad.body)
                #expect(response.status == bad.status, "\(bad)")
                if bad.status == 422 { #expect(Set(try response.pointers) == Set(bad.pointers), "\(bad)") }
            }
            #expect(try await client.get("/v1/jobs").json["jobs"]?.elements?.isEmpty == true)
        }
    }

    @Test("invalid queries, media types, methods and paths are refused")
    func refusesRequests() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let queries: [(String, String)] = [
                ("/v1/jobs?limit=0", "limit"), ("/v1/jobs?limit=1001", "limit"), ("/v1/jobs?limit=x", "limit"),
                ("/v1/jobs?state=done", "state"), ("/v1/jobs?nope=1", "nope"), ("/v1/jobs?name=a&name=b", "name"),
                ("/v1/jobs?cursor=x", "cursor"), ("/v1/jobs?name=%FF", "name"), ("/v1/jobs?name=%00", "name"),
                ("/v1/jobs/\(job)/events?order=up", "order"), ("/v1/jobs/\(job)/events?verdict=bad", "verdict"),
                ("/v1/jobs/\(job)/events?after=-1", "after"), ("/v1/jobs/\(job)/progress?policy=some", "policy"),
            ]
            for (path, parameter) in queries {
                let response = try await client.get(path)
                #expect(response.status == 422, "\(path)")
                #expect(try response.pointers == [parameter], "\(path)")
            }
            let unknownJob = "01900000-0000-7000-8000-000000000000"
            for path in [
                "/v1/jobs/\(unknownJob)", "/v1/jobs/nonsense", "/v1/jobs/\(unknownJob)/events", "/nothing",
                "/v1/jobs/\(unknownJob)/progress",
            ] {
                let response = try await client.get(path)
                #expect(response.status == 404, "\(path)")
                #expect(response.headers["content-type"] == "application/problem+json")
            }
            let appended = try await client.post("/v1/jobs/\(unknownJob)/events", #"{"type":"progress","task":"t"}"#)
            #expect(appended.status == 404)
            let method = try await client.request("DELETE", "/v1/jobs/\(job)")
            #expect(method.status == 405)
            #expect(method.headers["allow"] == "GET, HEAD, OPTIONS")
            let media = try await client.post("/v1/jobs", "{}", type: "text/plain")
            #expect(media.status == 415)
            let lines = try await client.post("/v1/jobs", "{}", type: "application/x-ndjson")
            #expect(lines.status == 415)
            let encoded = try await client.request(
                "POST", "/v1/jobs", headers: ["Content-Type": "application/json", "Content-Encoding": "gzip"],
                body: [1, 2])
            #expect(encoded.status == 415)
        }
    }

    @Test("bodies and appends beyond their limits are refused, and nothing is recorded")
    func refusesTooMuch() async throws {
        try await withServer({ $0.bodyBytesMax = 100_000 }) { client, _ in
            let job = try await client.createJob()
            let announced = try await client.send(
                Array(
                    "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100001\r\n\r\n"
                        .utf8))
            #expect(announced.status == 413)
            let chunk = "10000\r\n" + String(repeating: " ", count: 0x10000) + "\r\n"
            let chunked = try await client.send(
                Array(
                    ("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                        + chunk + chunk).utf8))
            #expect(chunked.status == 413)
            #expect(try await client.get("/v1/jobs/\(job)").json["ledger_sequence"] == .integer(1))
        }
        try await withServer { client, _ in
            let job = try await client.createJob()
            let line = #"{"type":"progress","task":"t"}"# + "\n"
            let many = try await client.post(
                "/v1/jobs/\(job)/events", String(repeating: line, count: 10_001), type: "application/x-ndjson")
            #expect(many.status == 413)
            let most = try await client.post(
                "/v1/jobs/\(job)/events", String(repeating: line, count: 10_000), type: "application/x-ndjson")
            #expect(most.status == 201)
            #expect(try most.json["last_sequence"] == .integer(10_001))
        }
    }

    @Test("a body that arrives too slowly is refused, and clients that disappear do no harm")
    func slowClients() async throws {
        try await withServer({ $0.bodyDeadline = .milliseconds(300) }) { client, _ in
            let slow = try await client.send(
                Array(
                    "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
                        .utf8))
            #expect(slow.status == 408)
            for _ in 0..<20 {
                let channel = try await client.connect()
                try await channel.executeThenClose { _, outbound in
                    try await outbound.write(
                        ByteBufferOf("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"))
                }
            }
            #expect(try await client.get("/healthz").status == 200)
        }
    }

    @Test("a body is requested with 100 Continue, unless a response is still in progress")
    func expectedBody() async throws {
        try await withServer { client, _ in
            let body = #"{"name":"expected"}"#
            let head =
                "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-Continue\r\n"
                + "Content-Length: \(body.utf8.count)\r\n"
            let channel = try await client.connect()
            let responses: [String] = try await channel.executeThenClose { inbound, outbound in
                try await outbound.write(ByteBufferOf(head + "Connection: close\r\n\r\n"))
                var responses: [String] = []
                for try await part in inbound {
                    responses.append(String(buffer: part))
                    if responses.count == 1 { try await outbound.write(ByteBufferOf(body)) }
                }
                return responses
            }
            #expect(responses.first == "HTTP/1.1 100 Continue\r\n\r\n")
            #expect(responses.dropFirst().joined().hasPrefix("HTTP/1.1 201 "))

            // A body that is too long is refused before it is sent.
            let long = head.replacing("Content-Length: ", with: "Content-Length: 1000000") + "Connection: close\r\n\r\n"
            #expect(try await client.send(Array(long.utf8)).status == 413)

            let job = try await client.createJob()
            let behind = "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\n\r\n" + head + "\r\n" + body
            #expect(try await client.sendPipelined([behind]).map(\.status) == [200, 201])
        }
    }
}
