import Ledger
import LedgerStore
import LedgerWire
import Testing

@Suite("Token routes")
struct TokenRouteTests {
    @Test("an admin creates, lists and revokes tokens within what the admin may do")
    func administration() async throws {
        try await AccessFixtures.withTeams { client, ledger, own, _ in
            // Without a token every caller may do everything, but no caller becomes an administrator over HTTP.
            #expect(try await client.post("/v1/tokens", #"{"name":"x","scopes":["admin"]}"#).status == 403)
            let admin = try await AccessFixtures.token("admin", [.admin], of: ledger)
            let confined = try await AccessFixtures.token("admin of a", [.admin], AccessFixtures.teamA, of: ledger)
            func create(_ token: String, _ body: String) async throws -> RawResponse {
                try await client.request(
                    "POST", "/v1/tokens",
                    headers: AccessFixtures.bearer(token).merging(["Content-Type": "application/json"]) { $1 },
                    body: Array(body.utf8))
            }
            let created = try await create(admin, #"{"name":"ci","scopes":["report","read"],"tags":{"team":"a"}}"#)
            #expect(created.status == 201)
            let text = try #require(try created.json["token"]?.text)
            let id = try #require(try created.json["id"]?.text)
            #expect(try created.json["created_by"]?.text == "token:admin")
            #expect(try await client.get("/v1/jobs/\(own)", headers: AccessFixtures.bearer(text)).status == 200)
            #expect(try await create(admin, #"{"name":"ci","scopes":["read"]}"#).status == 409)
            for (body, pointers) in [
                (#"{"name":"x","scopes":[]}"#, ["/scopes"]), (#"{"scopes":["read"]}"#, ["/name"]),
                (#"{"name":"x","scopes":["root"]}"#, ["/scopes/0"]), (#"{"name":"x"}"#, ["/scopes"]),
                (#"{"name":"x","scopes":["read"],"job":"\#(own)"}"#, ["/expires_at"]),
                (#"{"name":"x","scopes":["read"],"expires_at":"2001-01-01T00:00:00Z"}"#, ["/expires_at"]),
                (
                    #"{"name":"x","scopes":["admin"],"job":"\#(own)","expires_at":"2101-01-01T00:00:00Z"}"#,
                    ["/scopes"]
                ),
                (
                    #"{"name":"x","scopes":["read"],"job":"0190b5a1-7c1e-7a3b-9d2f-4c5e6f708192","expires_at":"2101-01-01T00:00:00Z"}"#,
                    ["/job"]
                ),
            ] {
                let response = try await create(admin, body)
                #expect(response.status == 422, "\(body)")
                #expect(try response.pointers == pointers, "\(body)")
            }
            // A token gives nothing for longer than that of its creator.
            let (_, short) = try await ledger.createToken(
                AccessTokenRequest(name: "short", scopes: [.admin], expiresAt: .latest), by: nil)
            let inherited = try await create(short, #"{"name":"inherited","scopes":["read"]}"#)
            #expect(try inherited.json["expires_at"]?.text == "9999-12-31T23:59:59.999999Z")
            // The tags of a confined admin need not be repeated, so a job of the team can be shared.
            let share = try await create(
                confined, #"{"name":"share","scopes":["read"],"job":"\#(own)","expires_at":"2101-01-01T00:00:00Z"}"#)
            #expect(try share.status == 201 && share.json["tags"]?["team"]?.text == "a")
            // A confined admin: only within its tags, and other tokens do not exist.
            #expect(try await create(confined, #"{"name":"wide","scopes":["read"],"tags":{"team":"b"}}"#).status == 403)
            let narrow = try await create(confined, #"{"name":"narrow","scopes":["read"],"tags":{"team":"a","x":"y"}}"#)
            #expect(narrow.status == 201)
            let listed = try await client.get("/v1/tokens", headers: AccessFixtures.bearer(confined))
            #expect(
                try listed.json["tokens"]?.elements?.map { $0["name"]?.text } == [
                    "admin of a", "ci", "share", "narrow",
                ])
            #expect(!String(decoding: listed.body, as: UTF8.self).contains("pl_"))
            let adminID = try #require(try await ledger.listTokens(within: .unconfined).first { $0.name == "admin" }).id
            func revoke(_ token: String, _ id: String) async throws -> RawResponse {
                try await client.request("DELETE", "/v1/tokens/\(id)", headers: AccessFixtures.bearer(token))
            }
            #expect(try await revoke(confined, adminID.text).status == 404)
            #expect(try await revoke(confined, text).status == 404)
            let revoked = try await revoke(confined, id)
            #expect(try revoked.status == 200 && revoked.json["state"]?.text == "revoked")
            #expect(try await client.get("/v1/jobs/\(own)", headers: AccessFixtures.bearer(text)).status == 401)
            #expect(
                try await create(admin, #"{"name":"ci","scopes":["read"]}"#).status == 409, "the name is used again")
        }
    }
}
