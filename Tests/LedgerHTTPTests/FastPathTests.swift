import LedgerHTTP
import LedgerTestSupport
import LedgerWire
import Testing

/// Small appends on the fast path behave as on the routed path.
@Suite("The fast path of small appends")
struct FastPathTests {
    private func append(_ job: String, _ body: String, headers: String = "Content-Type: application/json\r\n") -> String
    {
        "POST /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\n\(headers)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private let good = #"{"type":"progress","task":"t","done":1}"#

    @Test("several valid and invalid requests in one packet get their responses in order")
    func pipelined() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let missing = "01900000-0000-7000-8000-000000000000"
            let requests = [
                append(job, good), append(job, #"{"type":"progress","task":"t","done":-1}"#),
                "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\n\r\n", append(job, "[\(good),\(good)]"),
                append(missing, good), append(job, "{"), append(job, good),
            ]
            let responses = try await client.sendPipelined([requests.joined()])
            #expect(responses.map(\.status) == [201, 422, 200, 201, 404, 400, 201])
            #expect(try responses[0].json["first_sequence"] == .integer(2))
            #expect(try responses[1].pointers == ["/done"])
            #expect(try responses[3].json["last_sequence"] == .integer(4))
            #expect(try responses[6].json["last_sequence"] == .integer(5))
        }
    }

    @Test("a thousand requests sent before a response is read get their responses in order")
    func floods() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let count = 1_000
            let responses = try await client.sendPipelined([String(repeating: append(job, good), count: count)])
            #expect(responses.count == count)
            #expect(responses.allSatisfy { $0.status == 201 })
            for (index, response) in responses.enumerated() {
                #expect(try response.json["first_sequence"] == .integer(Int128(index + 2)))
            }
        }
    }

    @Test("a request that arrives byte by byte and one with a chunked body are recorded")
    func slowAndChunked() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let bytes = append(job, good).utf8.map { String(UnicodeScalar($0)) }
            let slow = try await client.sendPipelined(bytes)
            #expect(slow.map(\.status) == [201])
            let head =
                "POST /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n"
            let size = String(good.utf8.count, radix: 16)
            let chunked = try await client.sendPipelined([head, "\(size)\r\n\(good)\r\n0\r\n\r\n" + append(job, good)])
            #expect(chunked.map(\.status) == [201, 201])
        }
    }

    @Test("responses have the same headers as those of the routed path")
    func sameResponses() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            // A request with a content encoding takes the routed path.
            let routedHeaders = "Content-Type: application/json\r\nContent-Encoding: identity\r\n"
            let requests = append(job, good) + append(job, good, headers: routedHeaders)
            let before = try await pathCounts(client)
            let responses = try await client.sendPipelined([requests])
            let after = try await pathCounts(client)
            // One of each. The request for the first figures is counted in the second ones.
            #expect(after.fast - before.fast == 1 && after.routed - before.routed == 2)
            #expect(responses.count == 2)
            for (fast, routed) in zip(responses, responses.dropFirst()) {
                #expect(Set(fast.headers.keys) == Set(routed.headers.keys))
                for (name, value) in routed.headers where name != "date" { #expect(fast.headers[name] == value) }
                // The times may be those of two successive seconds, so only the dates are compared.
                #expect(fast.headers["date"]?.utf8.count == routed.headers["date"]?.utf8.count)
                #expect(fast.headers["date"]?.prefix(16) == routed.headers["date"]?.prefix(16))
            }
        }
    }

    @Test("responses in the wire format and encoded ones alternate on a connection")
    func alternating() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let routed = "GET /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
            let last = append(job, good, headers: "Content-Type: application/json\r\nConnection: close\r\n")
            let responses = try await client.sendPipelined([append(job, good), routed, append(job, good), routed, last])
            #expect(responses.map(\.status) == [201, 200, 201, 200, 201])
            #expect(try responses[3].json["events"]?.elements?.count == 3)
            #expect(responses.map { $0.headers["connection"] } == [nil, nil, nil, nil, "close"])
            #expect(try responses[4].json["last_sequence"] == .integer(4))
        }
    }

    @Test("a malformed next request is refused after the response to the request before it")
    func malformedNext() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for round in 1...20 {
                let responses = try await client.sendPipelined([append(job, good) + "garbage\r\n\r\n"])
                #expect(responses.first?.status == 201)
                #expect(try responses.first?.json["first_sequence"] == .integer(Int128(round + 1)))
                #expect(responses.dropFirst().allSatisfy { $0.status == 400 })
            }
        }
    }

    @Test("a body that stops arriving gets 408")
    func tooSlow() async throws {
        try await withServer({ $0.bodyDeadline = .milliseconds(200) }) { client, _ in
            let job = try await client.createJob()
            let response = try await client.send(Array(append(job, good).utf8.dropLast(5)))
            #expect(response.status == 408)
        }
    }

    @Test("a body beyond the limit of the fast path takes the routed path")
    func large() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let many = "[" + Array(repeating: good, count: 1_000).joined(separator: ",") + "]"
            let responses = try await client.sendPipelined([append(job, many) + append(job, good)])
            #expect(responses.map(\.status) == [201, 201])
            #expect(try responses[1].json["first_sequence"] == .integer(1_002))
        }
    }
}
