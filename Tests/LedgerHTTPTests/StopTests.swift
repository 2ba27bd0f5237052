import LedgerHTTP
import LedgerTestSupport
import ServiceLifecycle
import Testing

/// The behaviour of a stopping server for requests that it has begun.
@Suite("Stopping the server")
struct StopTests {
    @Test("a stopping server ends Prefer: wait at once with the current state")
    func preferWait() async throws {
        var settings = ServerSettings()
        settings.port = 0
        let (ports, sink) = AsyncStream.makeStream(of: Int.self)
        let server = LedgerServer(service: InMemoryLedger(), settings: settings, logger: TestCluster.logger) {
            _, port in
            sink.yield(port)
        }
        let group = ServiceGroup(services: [server], logger: TestCluster.logger)
        async let running: Void = {
            // A server that cannot start yields no port.
            defer { sink.finish() }
            try await group.run()
        }()
        let port = try #require(await ports.first { _ in true })
        let client = RawClient(port: port)
        let path = "/v1/jobs/\(try await client.createJob())"
        let tag = try #require(try await client.get(path).headers["etag"])
        let start = ContinuousClock.now
        async let waiting = client.get(path, headers: ["If-None-Match": tag, "Prefer": "wait=30"])
        // The request for the metrics is the other one.
        try await eventually({ $0.contains("\nprogress_ledger_http_requests_in_flight 2\n") }) {
            String(decoding: try await client.get("/metrics").body, as: UTF8.self)
        }
        await group.triggerGracefulShutdown()
        let response = try await waiting
        #expect(response.status == 304)
        #expect(response.headers["preference-applied"] == "wait=30")
        try await running
        #expect(start.duration(to: .now) < .seconds(20))
    }
}
