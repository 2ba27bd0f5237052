import LedgerHTTP
import LedgerTestSupport
import ServiceLifecycle
import Testing

/// What a server that stops does with the requests that it has begun.
@Suite("Stopping the server")
struct StopTests {
    @Test("a server that stops answers Prefer: wait at once, with what is there")
    func preferWait() async throws {
        try await withLedger { ledger in
            var settings = ServerSettings()
            settings.port = 0
            let (ports, sink) = AsyncStream.makeStream(of: Int.self)
            let server = LedgerServer(service: ledger, settings: settings, logger: TestCluster.logger) { _, port in
                sink.yield(port)
            }
            let group = ServiceGroup(services: [server], logger: TestCluster.logger)
            async let running: Void = group.run()
            let port = try #require(await ports.first { _ in true })
            let client = RawClient(port: port)
            let path = "/v1/jobs/\(try await client.createJob())"
            let tag = try #require(try await client.get(path).headers["etag"])
            let start = ContinuousClock.now
            async let waiting = client.get(path, headers: ["If-None-Match": tag, "Prefer": "wait=30"])
            try await eventually {
                let metrics = String(decoding: try await client.get("/metrics").body, as: UTF8.self)
                // The request for the figures is the other one.
                return metrics.contains("\nprogress_ledger_http_requests_in_flight 2\n")
            }
            await group.triggerGracefulShutdown()
            let answer = try await waiting
            #expect(answer.status == 304)
            #expect(answer.headers["preference-applied"] == "wait=30")
            try await running
            #expect(start.duration(to: .now) < .seconds(20))
        }
    }
}
