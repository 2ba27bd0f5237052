import HTTPTypes
import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOCore
import PQ
import Testing

@testable import LedgerHTTP

/// Snapshots are answered by a shortcut, and from cache where they are unchanged: nobody may be able to tell, but by a
/// watch.
@Suite("The shortcut of snapshots")
struct SnapshotTests {
    /// What the general route is asked in: it takes what prefers something, if only what makes no difference.
    private static let generalHeader = "Prefer: wait=0\r\n"

    private func read(_ path: String, headers: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n"
    }

    /// Sends both kinds of the same request, and expects the same answers.
    private func expectSame(_ client: RawClient, _ path: String, headers: String = "") async throws -> RawResponse {
        let general = read(path, headers: headers + Self.generalHeader)
        // What follows one for the general route in the same packet goes there, too: so it comes last.
        let answers = try await client.sendPipelined([
            read(path, headers: headers) + read(path, headers: headers) + general
        ])
        try #require(answers.count == 3)
        for shortcut in answers.dropLast() {
            #expect(shortcut.status == answers[2].status)
            #expect(Self.withoutNow(shortcut.body) == Self.withoutNow(answers[2].body))
            #expect(Set(shortcut.headers.keys) == Set(answers[2].headers.keys))
            for (name, value) in answers[2].headers where name != "date" { #expect(shortcut.headers[name] == value) }
            #expect(shortcut.headers["date"]?.utf8.count == answers[2].headers["date"]?.utf8.count)
        }
        return answers[2]
    }

    /// A body without the server's clock, which goes on.
    private static func withoutNow(_ body: [UInt8]) -> String {
        String(decoding: body, as: UTF8.self).replacing(/"now":"[^"]*"/, with: "")
    }

    private static func now(_ answer: RawResponse) throws -> Timestamp {
        let body = try JSONReader.read(answer.body)
        let value = try #require(body["now"]?.text)
        return try #require(RFC3339.timestamp(value))
    }

    @Test("the server's clock is that of the moment, also in what is remembered, and changes no tag")
    func now() async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob("n")
            try await append(ledger, job, done: 3)
            var last = Timestamp(microseconds: 0)
            var tags: Set<String> = []
            for _ in 0..<3 {
                let answers = try await client.sendPipelined([read("/v1/jobs/\(job)")])
                let answer = try #require(answers.first)
                let now = try Self.now(answer)
                #expect(now > last)
                last = now
                tags.insert(try #require(answer.headers["etag"]))
                #expect(answer.headers["content-length"] == String(answer.body.count))
            }
            #expect(tags.count == 1)
        }
    }

    private func append(_ ledger: PostgresLedger, _ job: String, done: Int64) async throws {
        let id = try #require(JobID(job))
        let progress = ProgressReport(reference: ExecutionReference(task: "t", attempt: 1), done: done)
        let last = try await ledger.append([EventDraft(.progress(progress))], to: id).upperBound
        let isFolded = try await ledger.waitUntilFolded(id, sequence: last, deadline: .testTimeout)
        #expect(isFolded)
    }

    @Test("its answers are those of the general route, header by header", arguments: ["", "/progress"])
    func sameAnswers(end: String) async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob("a job with \u{e9}")
            try await append(ledger, job, done: 3)
            let whole = try await expectSame(client, "/v1/jobs/\(job)\(end)")
            #expect(whole.status == 200)
            let tag = try #require(whole.headers["etag"])
            for known in [tag, "\"other\", \(tag)", "*", "\"other\"\r\nIf-None-Match: \(tag)"] {
                let unchanged = try await expectSame(
                    client, "/v1/jobs/\(job)\(end)", headers: "If-None-Match: \(known)\r\n")
                #expect(unchanged.status == 304, "\(known)")
            }
            let other = try await expectSame(client, "/v1/jobs/\(job)\(end)", headers: "If-None-Match: \"other\"\r\n")
            #expect(other.status == 200)
            let nobody = "01900000-0000-7000-8000-000000000000"
            let unknown = try await expectSame(client, "/v1/jobs/\(nobody)\(end)", headers: "If-None-Match: *\r\n")
            #expect(unknown.status == 404)
        }
    }

    @Test("what was appended and folded is shown at once, by this server and by others")
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
                            for answer in try await client.sendPipelined([requests]) {
                                let json = try answer.json
                                #expect(json["ledger_sequence"] == .integer(Int128(round + 1)))
                                #expect(json["progress"]?.elements?.first?["done"] == .integer(Int128(round)))
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("what was appended and is not folded yet shows in the ledger's sequence")
    func behind() async throws {
        try await withLedgerDatabase { target in
            var settings = ServerSettings()
            settings.port = 0
            try await withRunningLedger(on: target, projection: nil) { ledger in
                try await withServer(on: ledger, settings) { client in
                    let job = try await client.createJob()
                    let before = try await expectSame(client, "/v1/jobs/\(job)")
                    #expect(try before.json["ledger_sequence"] == .integer(1))
                    _ = try await client.post("/v1/jobs/\(job)/events", #"{"type":"progress","task":"t","done":1}"#)
                    let after = try await client.sendPipelined([read("/v1/jobs/\(job)"), read("/v1/jobs/\(job)")])
                    for answer in after {
                        #expect(try answer.json["ledger_sequence"] == .integer(2))
                        #expect(try answer.json["sequence"] == .integer(1))
                    }
                }
            }
        }
    }

    @Test("a snapshot that somebody has changed by hand is shown as it is")
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
                    let answer = try #require(try await client.sendPipelined([read("/v1/jobs/\(job)")]).first)
                    #expect(try answer.json["tasks"]?["executions"] == .integer(6))
                }
            }
        }
    }

    @Test("while the database is away nothing is answered from memory")
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
                    let known = "If-None-Match: \(tag)\r\n"
                    let answers = try await client.sendPipelined([
                        read("/v1/jobs/\(job)") + read("/v1/jobs/\(job)", headers: known) + read("/healthz")
                    ])
                    #expect(answers.map(\.status) == [503, 503, 200])
                    proxy.heal()
                    try await eventually { try await client.sendPipelined([read("/v1/jobs/\(job)")])[0].status == 200 }
                    let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
                    // The request for the figures is one.
                    #expect(metrics.contains("\nprogress_ledger_http_requests_in_flight 1\n"))
                }
            }
        }
    }

    @Test("requests of all kinds in one packet are answered in order")
    func pipelined() async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob()
            try await append(ledger, job, done: 1)
            let nobody = "01900000-0000-7000-8000-000000000000"
            let one = read("/v1/jobs/\(job)") + read("/v1/jobs/\(nobody)") + read("/v1/jobs/nonsense")
            let other = read("/v1/jobs/\(job)/progress?policy=all") + read("/v1/jobs/\(job)/progress")
            let count = 100
            let answers = try await client.sendPipelined([String(repeating: one + other, count: count)])
            try #require(answers.count == 5 * count)
            for (index, answer) in answers.enumerated() {
                #expect(answer.status == [200, 404, 404, 200, 200][index % 5])
            }
            // A request with a body that nobody asked for is read to its end.
            let withBody = "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
            let mixed = try await client.sendPipelined([withBody + read("/v1/jobs/\(job)")])
            #expect(mixed.map(\.status) == [200, 200])
        }
    }
}
