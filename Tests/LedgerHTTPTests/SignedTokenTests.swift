import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import LedgerHTTP

@Suite("JSON Web Tokens over HTTP")
struct SignedTokenTests {
    @Test("a signed caller reports under its own name and within its tags")
    func reporter() async throws {
        let issuer = try TestIssuer()
        try await withServer {
            $0.jwt = issuer.settings
        } _: { client, ledger in
            let team = AccessFixtures.bearer(issuer.token("team-a", #","team":"a""#))
            var headers = team
            headers["Content-Type"] = "application/json"
            let created = try await client.request(
                "POST", "/v1/jobs", headers: headers, body: Array(#"{"name":"j"}"#.utf8))
            let job = try #require(try created.json["job"]?.text)
            #expect(try await client.get("/v1/jobs/\(job)", headers: team).json["tags"]?["team"] == .string("a"))
            let event = #"{"type":"progress","task":"t","done":1}"#
            // The second request of a connection finds its access remembered.
            for sequence in 2...3 {
                let appended = try await client.request(
                    "POST", "/v1/jobs/\(job)/events", headers: headers, body: Array(event.utf8))
                #expect(appended.status == 201, "\(sequence)")
            }
            let events = try await client.get("/v1/jobs/\(job)/events", headers: team).json["events"]?.elements ?? []
            #expect(events.map { $0["reporter"]?.text } == Array(repeating: "jwt:ci:team-a", count: 3))
            let other = AccessFixtures.bearer(issuer.token("team-b", #","team":"b""#))
            #expect(try await client.get("/v1/jobs/\(job)", headers: other).status == 404)
            let admin = AccessFixtures.bearer(issuer.token("admin"))
            #expect(try await client.get("/v1/jobs/\(job)", headers: admin).status == 200)
            // Tokens of the ledger are accepted beside them.
            let reader = AccessFixtures.bearer(try await AccessFixtures.token("reader", [.read], of: ledger))
            #expect(try await client.get("/v1/jobs/\(job)", headers: reader).status == 200)
            #expect(try await client.get("/v1/jobs/\(job)").status == 401)
        }
    }

    @Test("the refusal of a token states the reason, and is counted")
    func refusals() async throws {
        let issuer = try TestIssuer()
        try await withServer {
            $0.jwt = issuer.settings
        } _: { client, _ in
            let expired = try await client.get(
                "/v1/jobs", headers: AccessFixtures.bearer(issuer.token("admin", lifetime: -61)))
            #expect(expired.status == 401 && expired.headers["www-authenticate"]?.contains("invalid_token") == true)
            #expect(try expired.json["detail"]?.text?.contains("expired") == true)
            let unknown = try await client.get("/v1/jobs", headers: AccessFixtures.bearer(issuer.token("x")))
            #expect(try unknown.status == 403 && unknown.json["detail"]?.text?.contains("No rule") == true)
            let admin = AccessFixtures.bearer(issuer.token("admin"))
            let metrics = String(decoding: try await client.get("/metrics", headers: admin).body, as: UTF8.self)
            for reason in ["token", "scope"] {
                #expect(metrics.contains(#"http_refusals_total{reason="\#(reason)"} 1"#), "\(reason)")
            }
            // A token made by a signed caller ends with the caller's.
            let made = try await client.request(
                "POST", "/v1/tokens", headers: admin.merging(["Content-Type": "application/json"]) { $1 },
                body: Array(#"{"name":"n","scopes":["read"]}"#.utf8))
            #expect(try made.status == 201 && made.json["expires_at"]?.text != nil)
        }
    }

    @Test("a token with a new key is accepted at once, and a stream ends when its key is withdrawn")
    func rotation() async throws {
        let issuer = try TestIssuer()
        try await withServer {
            $0.jwt = issuer.settings
        } _: { client, _ in
            let next = TestIssuer.Key("k2")
            let old = AccessFixtures.bearer(issuer.token("reader"))
            try await EventSource.open(client, "/v1/watch", headers: old) { source in
                _ = try #require(try await source.next())
                try issuer.publish([next])
                let new = AccessFixtures.bearer(issuer.token("reader", key: next))
                #expect(try await client.get("/v1/jobs", headers: new).status == 200)
                while try await source.next() != nil {}
            }
            try await eventually(equals: 401) { try await client.get("/v1/jobs", headers: old).status }
        }
    }

    @Test("keys are read from an address, and until then the outcome is 'unavailable'")
    func keysAtURL() async throws {
        let issuer = try TestIssuer()
        try await withDocument { document, url in
            try await withServer {
                $0.jwt = issuer.settings(keysAt: "\(url)/keys")
            } _: { client, _ in
                let reader = AccessFixtures.bearer(issuer.token("reader"))
                let early = try await client.get("/v1/jobs", headers: reader)
                #expect(early.status == 503 && early.headers["retry-after"] != nil)
                document.set(TestIssuer.set([issuer.key]))
                try await eventually(equals: 200, within: .seconds(30)) {
                    try await client.get("/v1/jobs", headers: reader).status
                }
                let next = TestIssuer.Key("k2")
                document.set(TestIssuer.set([issuer.key, next]))
                let new = AccessFixtures.bearer(issuer.token("reader", key: next))
                #expect(try await client.get("/v1/jobs", headers: new).status == 200)
            }
        }
    }

    /// Runs the closure with a server of one document, which is missing at first.
    private func withDocument(_ body: (Document, _ url: String) async throws -> Void) async throws {
        let document = Document()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(DocumentHandler(document))
                }
            }.bind(host: "127.0.0.1", port: 0).get()
        let result: Result<Void, any Error>
        do { result = .success(try await body(document, "http://127.0.0.1:\(channel.localAddress?.port ?? 0)")) } catch
        {
            result = .failure(error)
        }
        try await channel.close()
        try result.get()
    }
}
