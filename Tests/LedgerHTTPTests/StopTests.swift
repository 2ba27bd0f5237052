import LedgerHTTP
import LedgerTestSupport
import NIOCore
import ServiceLifecycle
import Testing

/// The behaviour of a stopping server for requests that it has begun.
@Suite("Stopping the server")
struct StopTests {
    /// Runs the closure with a server, and another closure that stops it gracefully.
    private func withStoppingServer(_ body: (RawClient, _ stop: () async -> Void) async throws -> Void) async throws {
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
        try await body(RawClient(port: port)) { await group.triggerGracefulShutdown() }
        try await running
    }

    /// Waits until the metrics contain a line.
    private func awaitMetric(_ line: String, _ client: RawClient) async throws {
        try await eventually({ $0.contains("\n\(line)\n") }) {
            String(decoding: try await client.get("/metrics").body, as: UTF8.self)
        }
    }

    @Test("a stopping server ends Prefer: wait at once with the current state", arguments: [false, true])
    func preferWait(isHTTP2: Bool) async throws {
        try await withStoppingServer { client, stop in
            let path = "/v1/jobs/\(try await client.createJob())"
            let tag = try #require(try await client.get(path).headers["etag"])
            let headers = ["If-None-Match": tag, "Prefer": "wait=30"]
            async let waiting =
                isHTTP2
                ? client.requestOverHTTP2("GET", path, headers: headers) : client.get(path, headers: headers)
            // The request for the metrics is the other one.
            try await awaitMetric("progress_ledger_http_requests_in_flight 2", client)
            let start = ContinuousClock.now
            await stop()
            let response = try await waiting
            #expect(start.duration(to: .now) < .seconds(20))
            #expect(response.status == 304)
            #expect(response.headers["preference-applied"] == "wait=30")
        }
    }

    @Test("a stopping server closes idle connections, and others after their response", .timeLimit(.minutes(1)))
    func connections() async throws {
        try await withStoppingServer { client, stop in
            let path = "/v1/jobs/\(try await client.createJob())"
            let tag = try #require(try await client.get(path).headers["etag"])
            let waiting = "GET \(path) HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \(tag)\r\nPrefer: wait=30\r\n\r\n"
            let start = ContinuousClock.now
            async let idle = firstResponseUntilClosed(client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async let busy = firstResponseUntilClosed(client, waiting)
            try await awaitMetric("progress_ledger_http_requests_in_flight 2", client)
            await stop()
            #expect(try await idle == "HTTP/1.1 200")
            #expect(try await busy == "HTTP/1.1 304")
            #expect(start.duration(to: .now) < .seconds(20))
        }
    }

    /// Sends a request on a new connection.
    ///
    /// - Returns: The beginning of the response, once the server has closed the connection.
    private func firstResponseUntilClosed(_ client: RawClient, _ request: String) async throws -> String {
        try await client.connect().executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: request))
            var received = ""
            for try await bytes in inbound { received += String(buffer: bytes) }
            return String(received.prefix(12))
        }
    }

    @Test("a stopping server ends the streams of a connection of HTTP/2, and then closes it")
    func streams() async throws {
        try await withStoppingServer { client, stop in
            let job = try await client.createJob()
            try await client.withHTTP2 { connection in
                async let watching = connection.request("GET", "/v1/jobs/\(job)/watch")
                try await awaitMetric("progress_ledger_http_watchers 1", client)
                let start = ContinuousClock.now
                await stop()
                let response = try await watching
                #expect(start.duration(to: .now) < .seconds(20))
                #expect(response.status == 200)
                #expect(response.headers["content-type"]?.hasPrefix("text/event-stream") == true)
                // The stream has begun. Its first snapshot may not have been sent: the metric rises before it.
                #expect(String(decoding: response.body, as: UTF8.self).hasPrefix("retry: "))
                try await connection.channel.closeFuture.get()
            }
        }
    }
}
