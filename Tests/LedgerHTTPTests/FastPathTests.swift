import LedgerHTTP
import LedgerTestSupport
import LedgerWire
import Testing

/// Small appends are answered by a shortcut: nobody may be able to tell, but by a watch.
@Suite("The shortcut of small appends")
struct FastPathTests {
    private func append(_ job: String, _ body: String, headers: String = "Content-Type: application/json\r\n") -> String
    {
        "POST /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\n\(headers)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private let good = #"{"type":"progress","task":"t","done":1}"#

    @Test("several requests in one packet are answered in order, small appends and others, right ones and wrong ones")
    func pipelined() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let nobody = "01900000-0000-7000-8000-000000000000"
            let requests = [
                append(job, good), append(job, #"{"type":"progress","task":"t","done":-1}"#),
                "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\n\r\n", append(job, "[\(good),\(good)]"),
                append(nobody, good), append(job, "{"), append(job, good),
            ]
            let answers = try await client.sendPipelined([requests.joined()])
            #expect(answers.map(\.status) == [201, 422, 200, 201, 404, 400, 201])
            #expect(try answers[0].json["first_sequence"] == .integer(2))
            #expect(try answers[1].places == ["/done"])
            #expect(try answers[3].json["last_sequence"] == .integer(4))
            #expect(try answers[6].json["last_sequence"] == .integer(5))
        }
    }

    @Test("thousands of requests sent before an answer is read are answered, each in its turn")
    func floods() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let count = 1_000
            let answers = try await client.sendPipelined([String(repeating: append(job, good), count: count)])
            #expect(answers.count == count)
            #expect(answers.allSatisfy { $0.status == 201 })
            for (index, answer) in answers.enumerated() {
                #expect(try answer.json["first_sequence"] == .integer(Int128(index + 2)))
            }
        }
    }

    @Test("a request that drips in byte by byte, and one whose body comes in chunks")
    func dripping() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let bytes = append(job, good).utf8.map { String(UnicodeScalar($0)) }
            let dripped = try await client.sendPipelined(bytes)
            #expect(dripped.map(\.status) == [201])
            let head =
                "POST /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n"
            let size = String(good.utf8.count, radix: 16)
            let chunked = try await client.sendPipelined([head, "\(size)\r\n\(good)\r\n0\r\n\r\n" + append(job, good)])
            #expect(chunked.map(\.status) == [201, 201])
        }
    }

    @Test("its answers are those of the general route, header by header")
    func sameAnswers() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let general = "Content-Type: application/json; charset=utf-8\r\n"
            let requests = append(job, good) + append(job, good, headers: general)
            let answers = try await client.sendPipelined([requests])
            #expect(answers.count == 2)
            for (shortcut, other) in zip(answers, answers.dropFirst()) {
                #expect(Set(shortcut.headers.keys) == Set(other.headers.keys))
                for (name, value) in other.headers where name != "date" { #expect(shortcut.headers[name] == value) }
                // Made by two clocks of the same second, or of two that follow each other.
                #expect(shortcut.headers["date"]?.utf8.count == other.headers["date"]?.utf8.count)
                #expect(shortcut.headers["date"]?.prefix(16) == other.headers["date"]?.prefix(16))
            }
        }
    }

    @Test("what is wrong with the next request is told after the answer to the one before it")
    func wrongNext() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for round in 1...20 {
                let answers = try await client.sendPipelined([append(job, good) + "garbage\r\n\r\n"])
                #expect(answers.first?.status == 201)
                #expect(try answers.first?.json["first_sequence"] == .integer(Int128(round + 1)))
                #expect(answers.dropFirst().allSatisfy { $0.status == 400 })
            }
        }
    }

    @Test("a body that stops coming in is answered with 408")
    func tooSlow() async throws {
        try await withServer({ $0.bodyDeadline = .milliseconds(200) }) { client, _ in
            let job = try await client.createJob()
            let answer = try await client.send(Array(append(job, good).utf8.dropLast(5)))
            #expect(answer.status == 408)
        }
    }

    @Test("a body beyond what the shortcut takes goes the long way")
    func large() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let many = "[" + Array(repeating: good, count: 1_000).joined(separator: ",") + "]"
            let answers = try await client.sendPipelined([append(job, many) + append(job, good)])
            #expect(answers.map(\.status) == [201, 201])
            #expect(try answers[1].json["first_sequence"] == .integer(1_002))
        }
    }
}
