import LedgerTestSupport
import LedgerWire
import NIOCore
import Testing

@testable import LedgerHTTP

@Suite("The fast and the routed path")
struct RequestPathTests {
    private static let event = #"{"type":"progress","task":"t","done":1}"#

    private static func append(_ job: String, _ body: String, headers: String = "") -> String {
        "POST /v1/jobs/\(job)/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\(headers)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test("every response is counted once, by its path")
    func counts() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let read = "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\n\r\n"
            let bad = Self.append(job, #"{"type":"progress","task":"t","done":-1}"#)
            let cases: [(request: String, status: Int, fast: Int, routed: Int)] = [
                (Self.append(job, Self.event), 201, 1, 0), (bad, 422, 1, 0), (read, 200, 1, 0),
                ("GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=0\r\n\r\n", 200, 0, 1),
                (Self.append(job, Self.event, headers: "Content-Encoding: identity\r\n"), 201, 0, 1),
                ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, 0, 1),
            ]
            for (request, status, fast, routed) in cases {
                let before = try await pathCounts(client)
                #expect(try await client.sendPipelined([request]).map(\.status) == [status], "\(request)")
                let after = try await pathCounts(client)
                #expect(after.fast - before.fast == fast, "\(request)")
                // The request for the figures before this one is counted now.
                #expect(after.routed - before.routed == routed + 1, "\(request)")
            }
        }
    }

    @Test("bodies on the fast path count in the memory budget of all bodies")
    func budget() async throws {
        let (held, size) = (6, 16_000)
        var settings = ServerSettings()
        settings.port = 0
        settings.bodiesBytesMax = held * size
        settings.bodyDeadline = .testTimeout
        try await withLedger { ledger in
            let (ports, sink) = AsyncStream.makeStream(of: Int.self)
            let server = LedgerServer(service: ledger, settings: settings, logger: TestCluster.logger) { _, port in
                sink.yield(port)
                sink.finish()
            }
            let running = Task {
                // A server that cannot start yields no port.
                defer { sink.finish() }
                try await server.run()
            }
            var client: RawClient?
            for await port in ports { client = RawClient(port: port) }
            let result: Result<Void, any Error>
            do { result = .success(try await hold(held, size, server, try #require(client))) } catch {
                result = .failure(error)
            }
            running.cancel()
            do { try await running.value } catch is CancellationError {}
            try result.get()
        }
    }

    /// Checks the budget while the last bytes of some requests are held back.
    private func hold(_ held: Int, _ size: Int, _ server: LedgerServer, _ client: RawClient) async throws {
        let job = try await client.createJob()
        let body = Self.event + String(repeating: " ", count: size - Self.event.utf8.count)
        let request = Array(Self.append(job, body).utf8)
        let before = try await pathCounts(client)
        try await withThrowingTaskGroup(of: RawResponse?.self) { group in
            var releases: [AsyncStream<Void>.Continuation] = []
            for _ in 0..<held {
                let (isReleased, sink) = AsyncStream.makeStream(of: Void.self)
                releases.append(sink)
                group.addTask {
                    try await client.connect().executeThenClose { inbound, outbound in
                        try await outbound.write(ByteBuffer(bytes: request.dropLast()))
                        for await _ in isReleased {}
                        try await outbound.write(ByteBuffer(bytes: request.suffix(1)))
                        for try await part in inbound { return try RawClient.parse(Array(part.readableBytesView)) }
                        return nil
                    }
                }
            }
            defer { for sink in releases { sink.finish() } }
            try await eventually(equals: held * size) { server.budget.used }
            #expect(try await client.post("/v1/jobs/\(job)/events", Self.event).status == 503)
            #expect(try await client.sendPipelined([Self.append(job, Self.event)]).map(\.status) == [503])
            for sink in releases { sink.finish() }
            for try await response in group { #expect(response?.status == 201) }
        }
        try await eventually(equals: 0) { server.budget.used }
        #expect(try await client.post("/v1/jobs/\(job)/events", body).status == 201)
        #expect(try await pathCounts(client).fast - before.fast == held)
    }
}

/// Returns the numbers of responses of each path.
func pathCounts(_ client: RawClient) async throws -> (fast: Int, routed: Int) {
    let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
    func count(_ path: String) throws -> Int {
        let row = "progress_ledger_http_requests_total{path=\"\(path)\"} "
        let line = try #require(metrics.split(separator: "\n").first { $0.hasPrefix(row) })
        return try #require(Int(line.dropFirst(row.count)))
    }
    return (try count("fast"), try count("routed"))
}
