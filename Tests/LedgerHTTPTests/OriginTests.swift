import Ledger
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOCore
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
        head.takeOriginForm()
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

    @Test("an origin is a scheme, a host and a port other than the default")
    func origins() {
        #expect(Origin("https://Wiki.example.com:443") == Origin("https://wiki.example.com"))
        #expect(Origin("http://wiki.example.com") != Origin("https://wiki.example.com"))
        #expect(Origin("http://wiki.example.com:8080") != Origin("http://wiki.example.com"))
        #expect(Origin("http://[::1]:8080") != nil)
        for invalid in [
            "null", "*", "", "https://", "wiki.example.com", "https://wiki.example.com/", "https://a b", "ftp://a",
            "https://*.example.com", "https://a?b", "https://user@a", "https://a:x", "https://a,https://b",
            "https://a:",
            "https://a:0443", "https://ä.example", "https://a%20", "https://a:65536",
        ] { #expect(Origin(invalid) == nil, "\(invalid)") }
    }

    @Test("pages of configured origins may read every response and send any request; others may not")
    func crossOrigin() async throws {
        let wiki = "https://wiki.example.com"
        try await withServer {
            $0.corsOrigins = [wiki]
        } _: { client, _ in
            let job = try await client.createJob()
            let paths = [
                "/v1/jobs", "/v1/jobs/\(job)", "/v1/jobs/\(job)/progress", "/v1/nothing", "/v1/jobs?limit=x",
                "/metrics",
                "/healthz", "/v1/jobs/\(job)/events",
            ]
            for path in paths {
                let shared = try await client.get(path, headers: ["Origin": wiki]).headers
                #expect(shared["access-control-allow-origin"] == wiki, "\(path)")
                #expect(shared["access-control-expose-headers"]?.contains("ETag") == true, "\(path)")
                #expect(shared["access-control-allow-credentials"] == nil, "\(path)")
                for other in [["Origin": "https://evil.example"], ["Origin": "null"], [:]] {
                    let refused = try await client.get(path, headers: other).headers
                    #expect(refused["access-control-allow-origin"] == nil, "\(path) \(other)")
                    #expect(refused["vary"] == "Origin", "\(path) \(other)")
                }
            }
            // A request that keeps its connection takes the fast path.
            let fast = "GET /v1/jobs/\(job) HTTP/1.1\r\nHost: localhost\r\nOrigin: \(wiki)\r\n\r\n"
            let kept = try await client.sendPipelined([fast])
            #expect(kept.map { $0.headers["access-control-allow-origin"] } == [wiki])
            let stream = try await EventSource.open(client, "/v1/jobs/\(job)/watch", headers: ["Origin": wiki]) {
                $0.head
            }
            #expect(stream.lowercased().contains("access-control-allow-origin: \(wiki)"))

            let event = Array(#"{"type":"progress","task":"t","done":1}"#.utf8)
            func post(_ origin: String) async throws -> RawResponse {
                try await client.request(
                    "POST", "/v1/jobs/\(job)/events",
                    headers: ["Content-Type": "application/json", "Origin": origin], body: event)
            }
            let written = try await post(wiki)
            #expect(written.status == 201 && written.headers["access-control-allow-origin"] == wiki)
            let refused = try await post("https://evil.example")
            #expect(refused.status == 403 && refused.headers["access-control-allow-origin"] == nil)

            let preflight = try await client.request(
                "OPTIONS", "/v1/jobs/\(job)/events",
                headers: ["Origin": wiki, "Access-Control-Request-Method": "POST"])
            #expect((200..<300).contains(preflight.status))
            #expect(preflight.headers["access-control-allow-methods"]?.contains("POST") == true)
            #expect(preflight.headers["access-control-allow-headers"]?.contains("Content-Type") == true)
            #expect(preflight.headers["access-control-max-age"] == "600")
            let plain = try await client.request("OPTIONS", "/v1/jobs/\(job)/events", headers: ["Origin": wiki])
            #expect(plain.headers["access-control-allow-methods"] == nil)
        }
        try await withServer { client, _ in
            let response = try await client.get("/v1/jobs", headers: ["Origin": wiki])
            #expect(response.headers["access-control-allow-origin"] == nil && response.headers["vary"] == nil)
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

/// Serving below a path of a reverse proxy.
@Suite("The base path")
struct BasePathTests {
    @Test("a base path has at most eight plain segments")
    func syntax() {
        #expect(ServerSettings.basePath("/ledger") == "/ledger")
        #expect(ServerSettings.basePath("/tools/ledger-2/") == "/tools/ledger-2")
        #expect(ServerSettings.basePath("/") == "")
        #expect(ServerSettings.basePath("/1/2/3/4/5/6/7/8") == "/1/2/3/4/5/6/7/8")
        for route in ServerSettings.routeBeginnings {
            #expect(ServerSettings.basePath("/\(route)/ledger") == nil, "\(route)")
        }
        for invalid in ["", "ledger", "//", "/a//b", "/a/../b", "/a b", "/ä", "/a?b", "/1/2/3/4/5/6/7/8/9", "/%41"] {
            #expect(ServerSettings.basePath(invalid) == nil, "\(invalid)")
        }
    }

    @Test("every route begins like one that no base path may have")
    func routeBeginnings() async throws {
        try await withServer {
            $0.servesTilebox = true
        } _: { client, _ in
            guard case .object(let paths)? = try await client.get("/openapi.json").json["paths"] else {
                Issue.record("the description has no paths")
                return
            }
            let beginnings = Set(paths.compactMap { $0.name.split(separator: "/").first.map(String.init) })
            #expect(beginnings == ServerSettings.routeBeginnings)
        }
    }

    @Test("requests with and without the base path get the same responses, and locations contain it")
    func serves() async throws {
        try await withServer {
            $0.basePath = "/ledger"
        } _: { client, _ in
            let created = try await client.post("/ledger/v1/jobs", #"{"name":"below","key":"k"}"#)
            let job = try #require(try created.json["job"]?.text)
            #expect(created.headers["location"] == "/ledger/v1/jobs/\(job)")
            for path in ["/v1/jobs/\(job)/progress", "/v1/jobs/\(job)/events", "/healthz", "/pages/style.css"] {
                let (inside, outside) = try await (client.get("/ledger" + path), client.get(path))
                #expect(inside.status == 200 && outside.status == 200, "\(path)")
            }
            let event = #"{"type":"progress","task":"t","done":1}"#
            #expect(try await client.post("/ledger/v1/jobs/\(job)/events", event).status == 201)
            let found = try await client.get("/ledger/?search=\(job)")
            #expect(found.status == 303 && found.headers["location"] == "/ledger/jobs/\(job)")
            let bare = try await client.get("/ledger?state=running")
            #expect(bare.status == 308 && bare.headers["location"] == "/ledger/?state=running")
            #expect(try await client.get("/ledgers").status == 404)
            for path in ["/ledger/jobs/\(job)/?state=failed", "/ledger/jobs//\(job)?state=failed"] {
                let slashes = try await client.get(path)
                #expect(slashes.status == 308 && slashes.headers["location"] == "/ledger/jobs/\(job)?state=failed")
            }
            let foreign = try await client.send(
                Array("GET /ledger HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".utf8))
            #expect(foreign.status == 421)
            #expect(try await client.get("/ledger/ledger/v1/jobs").status == 404)
            // A proxy may send the whole address.
            for (target, status) in [
                ("http://localhost/ledger/v1/jobs/\(job)", 200), ("HTTPS://localhost:8080/v1/jobs/\(job)", 200),
                ("http://localhost/ledger?state=running#x", 308), ("http://localhost", 200),
                ("http://localhost?state=running", 200), ("http://evil.example/ledger/v1/jobs/\(job)", 421),
                ("ftp://localhost/ledger/v1/jobs/\(job)", 404),
            ] {
                let absolute = try await client.send(
                    Array("GET \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8))
                #expect(absolute.status == status, "\(target)")
            }
        }
    }

    @Test("every address in a page is relative")
    func relative() async throws {
        try await withServer { client, _ in
            let job = try await client.createJob()
            let event = #"{"type":"progress","task":"t","label":"l","total":2,"done":1}"#
            _ = try await client.post("/v1/jobs/\(job)/events?wait=folded", event)
            for path in [
                "/", "/?state=running", "/jobs/\(job)", "/jobs/\(job)?indicator=l", "/jobs/\(job)?at_sequence=1",
                "/jobs/none", "/?tag=x",
            ] {
                let text = String(decoding: try await client.get(path).body, as: UTF8.self)
                let addresses = text.matches(of: /(?:href|src|action|data-watch)="([^"]*)"/).map { String($0.1) }
                #expect(addresses.count >= 4, "\(path)")
                // The template of a row has no address yet.
                for address in addresses where !address.isEmpty {
                    #expect(address.hasPrefix(path.hasPrefix("/jobs/") ? "../" : "./"), "\(path): \(address)")
                }
            }
        }
    }

    @Test("a trusted proxy states the base path and the protocol of a request; others do not")
    func forwarded() async throws {
        for (proxies, isTrusted) in [(["127.0.0.0/8"], true), (["10.0.0.0/8", "::1"], false), ([], false)] {
            try await withServer({ $0.trustedProxies = TrustedProxies(proxies) ?? TrustedProxies() }) {
                client, ledger in
                let (_, text) = try await ledger.createToken(
                    AccessTokenRequest(name: "t", scopes: [.read, .report]), by: nil)
                var headers = ["X-Forwarded-Prefix": "/tools/ledger/", "X-Forwarded-Proto": "https"]
                headers["Authorization"] = "Bearer \(text)"
                headers["Content-Type"] = "application/json"
                let base = isTrusted ? "/tools/ledger" : ""
                let created = try await client.request(
                    "POST", "/v1/jobs", headers: headers, body: Array(#"{"name":"j"}"#.utf8))
                let job = try #require(try created.json["job"]?.text)
                #expect(created.headers["location"] == "\(base)/v1/jobs/\(job)")
                // The proxy may keep the prefix or remove it.
                let kept = try await client.get("/tools/ledger/v1/jobs/\(job)", headers: headers)
                #expect(kept.status == (isTrusted ? 200 : 404))
                let login = try await client.request(
                    "POST", "/login", headers: headers, body: Array(#"{"token":"\#(text)"}"#.utf8))
                let cookie = try #require(login.headers["set-cookie"])
                #expect(cookie.contains("; Path=\(base)/;") && cookie.contains("; Secure") == isTrusted, "\(cookie)")
                headers["X-Forwarded-Prefix"] = "/a b"
                #expect(try await client.get("/v1/jobs", headers: headers).status == (isTrusted ? 400 : 200))
            }
        }
    }

    @Test("proxies are addresses and networks")
    func proxies() throws {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::1/129", "1.2.3.4/+8", "1.2.3.4:80"] {
            #expect(TrustedProxies([text]) == nil, "\(text)")
        }
        let proxies = try #require(TrustedProxies(["10.2.0.0/15", "192.0.2.7", "2001:db8::/33"]))
        for (address, isTrusted) in [
            ("10.1.255.255", false), ("10.2.0.0", true), ("10.3.255.255", true), ("10.4.0.0", false),
            ("192.0.2.7", true), ("192.0.2.8", false), ("::ffff:192.0.2.7", true), ("2001:db8:7fff::1", true),
            ("2001:db8:8000::1", false), ("::1", false),
        ] {
            #expect(proxies.contains(try SocketAddress(ipAddress: address, port: 1)) == isTrusted, "\(address)")
        }
        #expect(!proxies.contains(nil))
    }
}
