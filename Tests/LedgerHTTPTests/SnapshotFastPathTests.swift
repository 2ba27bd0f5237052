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
struct SnapshotFastPathTests {
    /// What the general route is asked in: it takes what prefers something, if only what makes no difference.
    private static let generalHeader = "Prefer: wait=0\r\n"

    private func read(_ path: String, headers: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n"
    }

    /// Sends both kinds of the same request, and expects the same answers.
    private func expectSame(_ client: RawClient, _ path: String, headers: String = "") async throws -> RawAnswer {
        let general = read(path, headers: headers + Self.generalHeader)
        // What follows one for the general route in the same packet goes there, too: so it comes last.
        let answers = try await client.converse([read(path, headers: headers) + read(path, headers: headers) + general])
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

    private static func now(_ answer: RawAnswer) throws -> Timestamp {
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
                let answers = try await client.converse([read("/v1/jobs/\(job)")])
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
                            for answer in try await client.converse([requests]) {
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
                    let after = try await client.converse([read("/v1/jobs/\(job)"), read("/v1/jobs/\(job)")])
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
                    let answer = try #require(try await client.converse([read("/v1/jobs/\(job)")]).first)
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
                    let answers = try await client.converse([
                        read("/v1/jobs/\(job)") + read("/v1/jobs/\(job)", headers: known) + read("/healthz")
                    ])
                    #expect(answers.map(\.status) == [503, 503, 200])
                    proxy.heal()
                    try await eventually { try await client.converse([read("/v1/jobs/\(job)")])[0].status == 200 }
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
            let answers = try await client.converse([String(repeating: one + other, count: count)])
            try #require(answers.count == 5 * count)
            for (index, answer) in answers.enumerated() {
                #expect(answer.status == [200, 404, 404, 200, 200][index % 5])
            }
            // A request with a body that nobody asked for is read to its end.
            let withBody = "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
            let mixed = try await client.converse([withBody + read("/v1/jobs/\(job)")])
            #expect(mixed.map(\.status) == [200, 200])
        }
    }
}

@Suite("The memory of answers")
struct AnswerMemoryTests {
    private func stamp(_ sequence: Int64) -> SnapshotStamp {
        SnapshotStamp(
            ledgerSequence: sequence, head: EventHash(7, 7, 7, 7), sequence: sequence, projection: 1,
            writer: 1)
    }

    private func answer(_ bytes: Int) -> LedgerResponse {
        LedgerResponse(status: .ok, contentType: "application/json", bytes: Array(repeating: 32, count: bytes))
    }

    private func job(_ number: Int) -> JobID { JobID(high: 1, low: UInt64(number)) }

    @Test("an answer is found by the very stamp it was given for, and the newest takes the place of others")
    func stamps() {
        let cache = ResponseCache(like: SnapshotAnswer.specimen)
        cache.insert(answer(10), of: job(1), stamp(1))
        #expect(cache.body(job(1), stamp(1))?.count == 10)
        #expect(cache.body(job(1), stamp(2)) == nil)
        #expect(cache.body(job(2), stamp(1)) == nil)
        cache.insert(answer(20), of: job(1), stamp(2))
        #expect(cache.body(job(1), stamp(1)) == nil)
        #expect(cache.body(job(1), stamp(2))?.count == 20)
    }

    /// Too long to be packed: so all take the same.
    private static let size = 100_000
    private static let countThatFits = ResponseCache.bytesMax / (size + 250)

    private func insert(_ numbers: Range<Int>, in cache: ResponseCache) {
        for number in numbers { cache.insert(answer(Self.size), of: job(number), stamp(1)) }
    }

    @Test("it keeps what is asked for, forgets what is not, and never holds more than it may")
    func bounded() {
        let cache = ResponseCache(like: SnapshotAnswer.specimen)
        let count = 5 * Self.countThatFits
        for number in 0..<count {
            insert(number..<number + 1, in: cache)
            #expect(cache.body(job(0), stamp(1)) != nil)
            #expect(cache.byteCount <= ResponseCache.bytesMax)
        }
        #expect(!cache.contains(job(1)))
        #expect(cache.contains(job(count - 1)))
        #expect((0..<count).count { cache.contains(job($0)) } == Self.countThatFits)
    }

    @Test("what fits stays, in whichever order it is asked for")
    func keepsAll() {
        let cache = ResponseCache(like: SnapshotAnswer.specimen)
        insert(0..<Self.countThatFits, in: cache)
        var chance = SeededGenerator(seed: 7)
        for _ in 0..<10_000 {
            let number = Int.random(in: 0..<Self.countThatFits, using: &chance)
            #expect(cache.body(job(number), stamp(1)) != nil)
        }
        #expect((0..<Self.countThatFits).allSatisfy { cache.contains(job($0)) })
    }

    @Test("of what does not fit, that goes which was not asked for since there was no room the last time")
    func secondChance() {
        let cache = ResponseCache(like: SnapshotAnswer.specimen)
        let count = Self.countThatFits
        insert(0..<count, in: cache)
        let kept = stride(from: 0, to: count, by: 2).map { $0 }
        for number in kept { #expect(cache.body(job(number), stamp(1)) != nil) }
        // As many as were not asked for.
        insert(count..<2 * count - kept.count, in: cache)
        #expect(kept.allSatisfy { cache.contains(job($0)) })
        #expect(!(0..<count).contains { $0 % 2 == 1 && cache.contains(job($0)) })
        #expect((count..<2 * count - kept.count).allSatisfy { cache.contains(job($0)) })
    }

    @Test("what is changed often does not push out the rest")
    func replacing() {
        let cache = ResponseCache(like: SnapshotAnswer.specimen)
        cache.insert(answer(10), of: job(1), stamp(1))
        for sequence in 1...1_000 { cache.insert(answer(100_000), of: job(2), stamp(Int64(sequence))) }
        #expect(cache.body(job(1), stamp(1)) != nil)
    }

    @Test("an answer comes back as it was, whether it was packed or is too long for that")
    func bodies() {
        let cache = ResponseCache(like: SnapshotAnswer.specimen)
        let longest = ResponseCache.packedBytesMax
        for (number, count) in [0, 1, 1_000, longest, longest + 1].enumerated() {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
            cache.insert(
                LedgerResponse(status: .ok, contentType: "application/json", bytes: bytes), of: job(number), stamp(1))
            #expect(cache.body(job(number), stamp(1)) == bytes)
        }
    }

    @Test("what answers have in common takes no memory")
    func packed() throws {
        let cache = ResponseCache(like: SnapshotAnswer.specimen)
        guard case .bytes(let body) = SnapshotAnswer.specimen.body else {
            Issue.record("the specimen has no body")
            return
        }
        for number in 0..<100 {
            let bytes = Array(String(decoding: body, as: UTF8.self).replacing("100", with: "\(number)").utf8)
            cache.insert(
                LedgerResponse(status: .ok, contentType: "application/json", bytes: bytes), of: job(number), stamp(1))
        }
        #expect(body.count > 600)
        #expect(cache.byteCount < 100 * 350)
    }

    @Test("an answer that is too long is not remembered")
    func tooLong() {
        let cache = ResponseCache(like: SnapshotAnswer.specimen)
        cache.insert(answer(ResponseCache.answerBytesMax + 1), of: job(1), stamp(1))
        #expect(!cache.contains(job(1)))
    }
}
