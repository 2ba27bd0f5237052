import LedgerTestSupport
import LedgerWire
import NIOHTTP1
import Testing

@testable import LedgerHTTP

@Suite("Hosts and origins")
struct OriginTests {
    private static let policy = OriginPolicy(host: "10.0.0.5", allowedHosts: ["Ledger.Example.com"])

    private static func status(
        _ host: String?, _ method: HTTPMethod = .GET, uri: String = "/v1/jobs", origin: String? = nil
    ) -> Int? {
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: uri)
        if let host { head.headers.add(name: "Host", value: host) }
        if let origin { head.headers.add(name: "Origin", value: origin) }
        return policy.problem(head)?.details.status
    }

    @Test(
        "the server responds under its own names",
        arguments: [
            "localhost", "localhost:8080", "LOCALHOST", "localhost.", "127.0.0.1:1", "127.8.9.10", "[::1]",
            "[::1]:8080",
            "10.0.0.5", "10.0.0.5:80", "ledger.example.com", "LEDGER.example.com:443", "ledger.example.com.",
        ])
    func knownHost(_ host: String) {
        #expect(Self.status(host) == nil)
        #expect(Self.status(host, .POST) == nil)
    }

    @Test(
        "a request for another host is refused",
        arguments: [
            "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.256", "127.1", "10.0.0.6",
            "[::1]x.example", "[::1", "localhost:80x", "localhost:1@evil", "127.+0.0.1", "127.0.0.1.evil:80",
            "ledger.example.com.evil.example", "xledger.example.com", "[::2]", "", "evil.example:8080",
        ])
    func unknownHost(_ host: String) {
        #expect(Self.status(host) == 421)
        #expect(Self.status(host, .POST) == 421)
        for path in ["/healthz", "/readyz", "/readyz?x=1"] { #expect(Self.status(host, uri: path) == nil, "\(path)") }
        #expect(Self.status(host, uri: "/healthz/x") == 421)
    }

    @Test("the host of an absolute target counts, not the Host header")
    func absoluteTarget() {
        #expect(Self.status("localhost", uri: "http://evil.example/v1/jobs") == 421)
        #expect(Self.status("evil.example", uri: "http://localhost:8080/v1/jobs") == nil)
        #expect(Self.status("localhost", uri: "https://evil.example?/v1") == 421)
        #expect(Self.status("evil.example", uri: "http://probe:8080/healthz?x") == nil)
        #expect(Self.status("localhost", uri: "http://localhost:1@evil.example/v1") == 421)
        // HTTP/1.0 may omit the host; no browser does.
        #expect(Self.status(nil) == nil)
    }

    @Test("a page of a foreign origin may change nothing")
    func foreignOrigin() {
        for origin in [
            "https://evil.example", "http://localhost:3000", "http://127.0.0.1:8080", "null", "file://", "x",
            "http://localhost:8080.evil.example", "https://ledger.example.com.evil.example",
        ] {
            for method in [HTTPMethod.POST, .PUT, .DELETE, .PATCH] {
                #expect(Self.status("localhost:8080", method, origin: origin) == 403, "\(method) \(origin)")
            }
            #expect(Self.status("localhost:8080", origin: origin) == nil, "\(origin)")
        }
        for (host, origin) in [
            ("localhost:8080", "http://localhost:8080"), ("ledger.example.com", "https://ledger.example.com"),
            ("ledger.example.com:443", "https://ledger.example.com"), ("localhost", "https://LEDGER.example.com"),
            ("[::1]:8080", "http://[::1]:8080"),
        ] { #expect(Self.status(host, .POST, origin: origin) == nil, "\(host) \(origin)") }
    }

    @Test("a server refuses foreign hosts and origins with a remedy, and records nothing")
    func refusals() async throws {
        try await withServer { client, ledger in
            let job = try await client.createJob()
            let event = #"{"type":"progress","task":"t","done":1}"#
            let rebound = try await client.send(
                Array("GET /v1/jobs/\(job) HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".utf8))
            #expect(rebound.status == 421)
            #expect(try rebound.json["detail"]?.text?.contains("--allowed-host evil.example") == true)
            let written = try await client.request(
                "POST", "/v1/jobs/\(job)/events",
                headers: ["Content-Type": "application/json", "Origin": "https://evil.example"], body: Array(event.utf8)
            )
            #expect(written.status == 403)
            #expect(try await client.get("/v1/jobs/\(job)").json["ledger_sequence"] == .integer(1))
        }
    }

    @Test("every response has the fields that protect browsers")
    func securityFields() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            for path in [
                "/", "/jobs/\(job)", "/v1/jobs", "/v1/jobs/\(job)", "/v1/jobs/\(job)/progress", "/v1/nothing",
                "/metrics",
                "/v1/jobs?limit=x", "/openapi.json", "/pages/style.css", "/healthz", "/v1/jobs/\(job)/events",
            ] {
                let headers = try await client.get(path).headers
                #expect(headers["x-content-type-options"] == "nosniff", "\(path)")
                #expect(headers["content-security-policy"]?.contains("frame-ancestors 'none'") == true, "\(path)")
                #expect(headers["cross-origin-resource-policy"] == "same-origin", "\(path)")
            }
            let badge = try await client.get("/v1/jobs/\(job)/badge.svg").headers
            #expect(badge["cross-origin-resource-policy"] == "cross-origin")
            #expect(badge["content-security-policy"] != nil)
        }
    }
}
