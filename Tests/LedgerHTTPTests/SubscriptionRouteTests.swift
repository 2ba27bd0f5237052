import Ledger
import LedgerHTTP
import LedgerStore
import LedgerTestSupport
import LedgerWire
import Testing

@Suite("Subscription routes")
struct SubscriptionRouteTests {
    private static let body =
        #"{"name":"s","url":"https://hooks.example.com/T0/secret-path","when":["finished","percent:50"]}"#

    private func request(
        _ client: RawClient, _ method: String, _ path: String, _ token: String, _ body: String? = nil
    ) async throws -> RawResponse {
        let type = body == nil ? [:] : ["Content-Type": "application/json"]
        return try await client.request(
            method, path, headers: AccessFixtures.bearer(token).merging(type) { $1 }, body: body.map { Array($0.utf8) })
    }

    @Test("a subscription is created, shown with masked URL and secret, tested and removed")
    func lifecycle() async throws {
        try await withServer { client, _ in
            let created = try await client.post("/v1/subscriptions", Self.body)
            #expect(created.status == 201)
            let json = try created.json
            let id = try #require(json["id"]?.text)
            #expect(created.headers["location"] == "/v1/subscriptions/\(id)")
            #expect(created.headers["cache-control"] == "no-store")
            #expect(json["url"]?.text == "https://hooks.example.com/T0/secret-path")
            let secret = try #require(json["secret"]?.text)
            #expect(WebhookSecret(secret) != nil && json["format"]?.text == "standard")
            for path in ["/v1/subscriptions", "/v1/subscriptions/\(id)", "/notifications"] {
                let shown = String(decoding: try await client.get(path).body, as: UTF8.self)
                #expect(shown.contains(id) && shown.contains("hooks.example.com"), "\(path)")
                #expect(!shown.contains("secret-path") && !shown.contains(secret), "\(path)")
            }
            let one = try await client.get("/v1/subscriptions/\(id)").json
            #expect(one["when"]?.elements == [.string("finished"), .string("percent:50")])
            #expect(one["url"]?.text == "https://hooks.example.com/…" && one["secret"]?.text == "whsec_…")
            let test = try await client.request("POST", "/v1/subscriptions/\(id)/test", body: [])
            #expect(test.status == 200)
            #expect(try test.json["cause"]?["kind"]?.text == "test" && test.json["state"]?.text == "pending")
            let page = try await client.get("/v1/subscriptions/\(id)/deliveries").json
            #expect(page["deliveries"]?.elements?.count == 1 && page["next_cursor"] == .null)
            #expect(String(decoding: try await client.get("/notifications").body, as: UTF8.self).contains("pending"))
            let removed = try await client.request("DELETE", "/v1/subscriptions/\(id)")
            #expect(try removed.status == 200 && removed.json["secret"]?.text == "whsec_…")
            for (method, path) in [
                ("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/test"),
            ] {
                let body: [UInt8]? = method == "POST" ? [] : nil
                let response = try await client.request(method, "/v1/subscriptions/\(id)\(path)", body: body)
                #expect(response.status == 404, "\(method) \(path)")
            }
        }
    }

    @Test("every bad field is named")
    func invalid() async throws {
        try await withServer { client, _ in
            for (body, pointers) in [
                ("{}", ["/name", "/url", "/when"]),
                (#"{"name":"s","url":"https://x.test","when":[]}"#, ["/when"]),
                (
                    #"{"name":"s","url":"https://x.test","when":["done",1,"percent:0","test"]}"#,
                    ["/when/0", "/when/1", "/when/2", "/when/3"]
                ),
                (#"{"name":"s","url":"https://x.test","when":["late","late"]}"#, ["/when"]),
                (#"{"name":"","url":"http://x.test","when":["late"]}"#, ["/name", "/url"]),
                (#"{"name":"s","url":"https://10.0.0.1/","when":["late"]}"#, ["/url"]),
                (#"{"name":"s","url":"https://[::ffff:127.0.0.1]/","when":["late"]}"#, ["/url"]),
                (#"{"name":"s","url":"https://a@x.test/","when":["late"]}"#, ["/url"]),
                (#"{"name":"s","url":"https://x.test","when":["late"],"secret":"abc"}"#, ["/secret"]),
                (#"{"name":"s","url":"https://x.test","when":["late"],"format":"xml"}"#, ["/format"]),
                (#"{"name":"s","url":"https://x.test","when":["late"],"filter":{"tag":{}}}"#, ["/filter/tag"]),
                (#"{"name":"s","url":"https://x.test","when":["late"],"filter":{"tags":{"":"x"}}}"#, ["/filter/tags/"]),
                (#"{"name":"s","url":"https://x.test","when":["late"],"x":1}"#, ["/x"]),
            ] {
                let response = try await client.post("/v1/subscriptions", body)
                #expect(response.status == 422, "\(body)")
                #expect(try response.pointers == pointers, "\(body)")
            }
            let stored = try await client.get("/v1/subscriptions").json["subscriptions"]?.elements
            #expect(stored?.isEmpty == true)
        }
    }

    @Test("the server's --notify-allow permits further receivers")
    func allowed() async throws {
        let targets = try WebhookTargets(["10.0.0.0/8", "localhost:9000"])
        try await withServer {
            $0.notificationTargets = targets
        } _: { client, _ in
            for (url, status) in [
                ("http://10.1.2.3/", 201), ("http://localhost:9000/", 201), ("https://192.168.0.1/", 422),
                ("http://some.name/", 201),
            ] {
                let body = #"{"name":"s","url":"\#(url)","when":["late"]}"#
                let response = try await client.post("/v1/subscriptions", body)
                #expect(response.status == status, "\(url)")
            }
        }
    }

    @Test("a confined admin subscribes to jobs with its tags, and sees no other subscription")
    func confined() async throws {
        try await AccessFixtures.withTeams { client, ledger, _, _ in
            let admin = try await AccessFixtures.token("admin", [.admin], of: ledger)
            let own = try await AccessFixtures.token("a", [.admin], AccessFixtures.teamA, of: ledger)
            let other = try await AccessFixtures.token("b", [.admin], ["team": "b"], of: ledger)
            let created = try await request(client, "POST", "/v1/subscriptions", own, Self.body)
            #expect(created.status == 201)
            #expect(try created.json["filter"]?["tags"]?["team"]?.text == "a")
            #expect(try created.json["created_by"]?.text == "token:a")
            let id = try #require(try created.json["id"]?.text)
            let contradicting = Self.body.dropLast() + #","filter":{"tags":{"team":"b"}}}"#
            #expect(try await request(client, "POST", "/v1/subscriptions", own, String(contradicting)).status == 403)
            #expect(try await request(client, "POST", "/v1/subscriptions/\(id)/test", own, "").status == 200)
            for (token, count) in [(admin, 1), (own, 1), (other, 0)] {
                let list = try await request(client, "GET", "/v1/subscriptions", token)
                #expect(try list.json["subscriptions"]?.elements?.count == count)
                let page = String(
                    decoding: try await request(client, "GET", "/notifications", token).body, as: UTF8.self)
                #expect(page.contains(id) == (count == 1))
                // The delivery of the test.
                #expect(page.contains("<td>pending</td>") == (count == 1))
                #expect(page.contains("No deliveries.") == (count == 0))
            }
            for (method, path) in [("GET", ""), ("GET", "/deliveries"), ("POST", "/test"), ("DELETE", "")] {
                let body = method == "POST" ? "" : nil
                let response = try await request(client, method, "/v1/subscriptions/\(id)\(path)", other, body)
                #expect(response.status == 404, "\(method) \(path)")
            }
            #expect(try await request(client, "DELETE", "/v1/subscriptions/\(id)", own).status == 200)
        }
    }

    @Test("a page of deliveries continues at its cursor")
    func pages() async throws {
        try await withServer { client, _ in
            let id = try #require(try await client.post("/v1/subscriptions", Self.body).json["id"]?.text)
            for _ in 0..<5 { _ = try await client.request("POST", "/v1/subscriptions/\(id)/test", body: []) }
            var (ids, cursor): ([String], String?) = ([], nil)
            repeat {
                let query = cursor.map { "&cursor=\($0)" } ?? ""
                let page = try await client.get("/v1/subscriptions/\(id)/deliveries?limit=2\(query)").json
                ids += (page["deliveries"]?.elements ?? []).compactMap { $0["id"]?.text }
                cursor = page["next_cursor"]?.text
            } while cursor != nil
            #expect(ids.count == 5 && Set(ids).count == 5)
            for query in ["limit=0", "limit=1001", "cursor=x", "cursor=1", "cursor=99999999999999999999-x"] {
                #expect(try await client.get("/v1/subscriptions/\(id)/deliveries?\(query)").status == 422, "\(query)")
            }
        }
    }
}
