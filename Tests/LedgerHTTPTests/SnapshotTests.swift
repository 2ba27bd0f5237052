import HTTPTypes
import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOCore
import PQ
import Testing

@testable import LedgerHTTP

/// Snapshots take the fast path and come from the cache, which only affects speed.
@Suite("The fast path of snapshots")
struct SnapshotTests {
    /// A header without effect that makes a request take the routed path.
    private static let routedHeader = "Prefer: wait=0\r\n"

    private func read(_ path: String, headers: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n"
    }

    /// Sends the same request on both paths, and expects the same responses.
    private func expectSame(_ client: RawClient, _ path: String, headers: String = "") async throws -> RawResponse {
        let routed = read(path, headers: headers + Self.routedHeader)
        // Requests after a routed one in the same packet are routed as well, so the routed one is the last.
        let responses = try await client.sendPipelined([
            read(path, headers: headers) + read(path, headers: headers) + routed
        ])
        try #require(responses.count == 3)
        for fast in responses.dropLast() {
            #expect(fast.status == responses[2].status)
            #expect(Self.comparable(fast) == Self.comparable(responses[2]))
            #expect(Set(fast.headers.keys) == Set(responses[2].headers.keys))
            for (name, value) in responses[2].headers where !["date", "x-request-id", "content-length"].contains(name) {
                #expect(fast.headers[name] == value)
            }
            #expect(fast.headers["date"]?.utf8.count == responses[2].headers["date"]?.utf8.count)
        }
        return responses[2]
    }

    /// A body without the parts that differ in each response.
    ///
    /// These are the server's time, the id of the request, and what is estimated from the time since the last event.
    private static func comparable(_ response: RawResponse) -> String {
        response.textWithoutID.replacing(/"now":"[^"]*"/, with: "")
            .replacing(/"estimate":\{[^}]*\}/, with: "").replacing(/"rate":[^,]*/, with: "")
    }

    private static func now(_ response: RawResponse) throws -> Timestamp {
        let body = try JSONReader.read(response.body)
        let value = try #require(body["now"]?.text)
        return try #require(RFC3339.timestamp(value))
    }

    @Test("a cached response contains the present time, which does not affect its tag")
    func now() async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob("n")
            try await append(ledger, job, done: 3)
            var last = Timestamp(microseconds: 0)
            var tags: Set<String> = []
            for _ in 0..<3 {
                let responses = try await client.sendPipelined([read("/v1/jobs/\(job)")])
                let response = try #require(responses.first)
                let now = try Self.now(response)
                #expect(now > last)
                last = now
                tags.insert(try #require(response.headers["etag"]))
                #expect(response.headers["content-length"] == String(response.body.count))
            }
            #expect(tags.count == 1)
        }
    }

    private func append(_ ledger: any LedgerService, _ job: String, done: Int64) async throws {
        let id = try #require(JobID(job))
        let progress = ProgressReport(reference: ExecutionReference(task: "t", attempt: 1), done: done)
        let last = try await ledger.append([EventDraft(.progress(progress))], to: id).upperBound
        let isFolded = try await ledger.waitUntilFolded(id, sequence: last, deadline: .testTimeout)
        #expect(isFolded)
    }

    @Test("responses have the same headers as those of the routed path", arguments: ["", "/progress"])
    func sameResponses(end: String) async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob("a job with \u{e9}")
            try await append(ledger, job, done: 3)
            let whole = try await expectSame(client, "/v1/jobs/\(job)\(end)")
            #expect(whole.status == 200)
            let tag = try #require(whole.headers["etag"])
            for tags in [tag, "\"other\", \(tag)", "*", "\"other\"\r\nIf-None-Match: \(tag)"] {
                let unchanged = try await expectSame(
                    client, "/v1/jobs/\(job)\(end)", headers: "If-None-Match: \(tags)\r\n")
                #expect(unchanged.status == 304, "\(tags)")
            }
            let other = try await expectSame(client, "/v1/jobs/\(job)\(end)", headers: "If-None-Match: \"other\"\r\n")
            #expect(other.status == 200)
            let missing = "01900000-0000-7000-8000-000000000000"
            let unknown = try await expectSame(client, "/v1/jobs/\(missing)\(end)", headers: "If-None-Match: *\r\n")
            #expect(unknown.status == 404)
        }
    }

    @Test("folded events are shown at once by all servers")
    func neverStale() async throws {
        try await withLedgerDatabase { target in
            var settings = ServerSettings()
            settings.port = 0
            try await withRunningLedger(on: target) { writer in
                try await withRunningLedger(on: target, projection: nil) { reader in
                    try await withServer(on: reader, settings) { client in
                        let job = try await writer.createJob(JobDescription(name: "n")).view.id.description
                        for round in 1...30 {
                            try await append(writer, job, done: 1)
                            let requests = String(repeating: read("/v1/jobs/\(job)/progress"), count: 3)
                            for response in try await client.sendPipelined([requests]) {
                                let json = try response.json
                                #expect(response.status == 200, "\(json)")
                                #expect(json["ledger_sequence"] == .integer(Int128(round + 1)))
                                #expect(json["progress"]?.elements?.first?["done"] == .integer(Int128(round)))
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("events that are not folded yet show in the ledger's sequence")
    func behind() async throws {
        var settings = ServerSettings()
        settings.port = 0
        try await withServer(on: InMemoryLedger(isFolding: false), settings) { client in
            let job = try await client.createJob()
            let before = try await expectSame(client, "/v1/jobs/\(job)")
            #expect(try before.json["ledger_sequence"] == .integer(1))
            _ = try await client.post("/v1/jobs/\(job)/events", #"{"type":"progress","task":"t","done":1}"#)
            let after = try await client.sendPipelined([read("/v1/jobs/\(job)"), read("/v1/jobs/\(job)")])
            for response in after {
                #expect(try response.json["ledger_sequence"] == .integer(2))
                #expect(try response.json["sequence"] == .integer(1))
            }
        }
    }

    @Test("a snapshot that was changed in the database is shown as it is")
    func changedByHand() async throws {
        try await withLedgerDatabase { target in
            var settings = ServerSettings()
            settings.port = 0
            try await withRunningLedger(on: target) { ledger in
                try await withServer(on: ledger, settings) { client in
                    let job = try await client.createJob()
                    try await append(ledger, job, done: 1)
                    _ = try await expectSame(client, "/v1/jobs/\(job)")
                    let changed = try await tamper(
                        target, "update ledger.snapshot set executions = executions + 5 where job_id = $1",
                        [try #require(JobID(job))])
                    #expect(changed == 1)
                    let response = try #require(try await client.sendPipelined([read("/v1/jobs/\(job)")]).first)
                    #expect(try response.json["tasks"]?["executions"] == .integer(6))
                }
            }
        }
    }

    @Test("no response comes from the cache while the database is unreachable")
    func outage() async throws {
        try await withLedgerDatabase { target in
            let proxy = try FaultProxy(before: target)
            defer { proxy.close() }
            var settings = ServerSettings()
            settings.port = 0
            try await withRunningLedger(on: proxy.target, projection: nil) { ledger in
                try await withServer(on: ledger, settings) { client in
                    let job = try await client.createJob()
                    let tag = try #require(try await expectSame(client, "/v1/jobs/\(job)").headers["etag"])
                    proxy.cut(.toClient, after: 0)
                    let condition = "If-None-Match: \(tag)\r\n"
                    let responses = try await client.sendPipelined([
                        read("/v1/jobs/\(job)") + read("/v1/jobs/\(job)", headers: condition) + read("/healthz")
                    ])
                    #expect(responses.map(\.status) == [503, 503, 200])
                    proxy.heal()
                    try await eventually(equals: 200) {
                        try await client.sendPipelined([read("/v1/jobs/\(job)")])[0].status
                    }
                    let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
                    // The request for the metrics counts.
                    #expect(metrics.contains("\nprogress_ledger_http_requests_in_flight 1\n"))
                }
            }
        }
    }

    @Test("requests of all kinds in one packet get their responses in order")
    func pipelined() async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob()
            try await append(ledger, job, done: 1)
            let missing = "01900000-0000-7000-8000-000000000000"
            let one = read("/v1/jobs/\(job)") + read("/v1/jobs/\(missing)") + read("/v1/jobs/nonsense")
            let other = read("/v1/jobs/\(job)/progress?policy=all") + read("/v1/jobs/\(job)/progress")
            let count = 100
            let responses = try await client.sendPipelined([String(repeating: one + other, count: count)])
            try #require(responses.count == 5 * count)
            for (index, response) in responses.enumerated() {
                #expect(response.status == [200, 404, 404, 200, 200][index % 5])
            }
            // A request with an unexpected body is read to its end.
            let withBody = "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
            let mixed = try await client.sendPipelined([withBody + read("/v1/jobs/\(job)")])
            #expect(mixed.map(\.status) == [200, 200])
        }
    }
}
