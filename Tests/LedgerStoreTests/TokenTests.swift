import Ledger
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerStore

@Suite("Tokens in the database", .timeLimit(.minutes(5)))
struct TokenTests {
    private static let team = Confinement(tags: ["team": "a", "o'clock": "é\u{1F680}"])

    @Test("a token is stored without its text, listed, and revoked once")
    func lifecycle() async throws {
        try await withLedger { ledger in
            #expect(!ledger.tokens.isRequired)
            let request = AccessTokenRequest(
                name: "team a", scopes: [.read, .report], confinement: Self.team,
                expiresAt: Timestamp(microseconds: 4_000_000_000_000_000))
            let (token, text) = try await ledger.createToken(request, by: "token:admin")
            #expect(token.name == "team a" && token.scopes == [.read, .report] && token.createdBy == "token:admin")
            #expect(token.confinement == Self.team && token.expiresAt == request.expiresAt && token.lastUsedAt == nil)
            #expect(try await ledger.listTokens(within: .unconfined) == [token])
            #expect(try await ledger.listTokens(within: Confinement(tags: ["team": "a"])) == [token])
            #expect(try await ledger.listTokens(within: Confinement(tags: ["team": "b"])).isEmpty)
            #expect(ledger.tokens.isRequired)
            #expect(try ledger.tokens.access(of: text).get() == token.access)

            let secret = String(text.dropFirst(20).prefix(20))
            let rows = try await ledger.pool.query(
                Query(
                    "select count(*) from ledger.access_token as token where token::text like $1",
                    [.text("%\(secret)%")]))
            #expect(try rows[0].decode(0, as: Int.self) == 0)

            #expect(try await ledger.revokeToken(token.id, within: Confinement(tags: ["team": "b"])) == nil)
            #expect(ledger.tokens.isValid(token.id))
            let revoked = try #require(try await ledger.revokeToken(token.id, within: .unconfined))
            #expect(revoked.revokedAt != nil)
            #expect(ledger.tokens.access(of: text) == .failure(.revoked))
            #expect(
                try await ledger.revokeToken(token.id, within: .unconfined) == revoked, "the first revocation counts")
            #expect(ledger.tokens.isRequired, "a revoked token opened the ledger")
        }
    }

    @Test("a name is never used again, even at the same time")
    func names() async throws {
        try await withLedger { ledger in
            let request = AccessTokenRequest(name: "once", scopes: [.read])
            let outcomes = await withTaskGroup(of: Result<AccessToken, StoreError>.self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        do throws(StoreError) {
                            return .success(try await ledger.createToken(request, by: nil).token)
                        } catch {
                            return .failure(error)
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { if case .success = $0 { true } else { false } } == 1)
            for case .failure(let error) in outcomes { #expect(error.code == .conflict, "\(error)") }
            let token = try #require(try await ledger.listTokens(within: .unconfined).first)
            _ = try await ledger.revokeToken(token.id, within: .unconfined)
            await #expect(throws: StoreError.self) { try await ledger.createToken(request, by: nil) }
        }
    }

    @Test("other servers accept a new token, record its use, and refuse it once it is revoked")
    func otherServers() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target) { first in
                try await withRunningLedger(on: target) { second in
                    let (token, text) = try await first.createToken(
                        AccessTokenRequest(name: "t", scopes: [.read]), by: nil)
                    try await eventually { second.tokens.isRequired }
                    #expect(try second.tokens.access(of: text).get() == token.access)
                    try await eventually { try await first.listTokens(within: .unconfined).first?.lastUsedAt != nil }
                    _ = try await first.revokeToken(token.id, within: .unconfined)
                    try await eventually { second.tokens.access(of: text) == .failure(.revoked) }
                    #expect(!second.tokens.isValid(token.id))
                }
            }
        }
    }

    @Test("the service can neither delete a token, nor give it another name, secret, scope or expiry")
    func guarded() async throws {
        try await withLedger { ledger in
            let (token, _) = try await ledger.createToken(AccessTokenRequest(name: "t", scopes: [.read]), by: nil)
            _ = try await ledger.revokeToken(token.id, within: .unconfined)
            let restored = await #expect(throws: PQError.self) {
                try await ledger.pool.query(Query("update ledger.access_token set revoked_at = null"))
            }
            #expect(restored?.sqlState?.rawValue == "LG001")
            for statement in [
                "delete from ledger.access_token", "truncate ledger.access_token",
                "update ledger.access_token set name = 'x'", "update ledger.access_token set digest = ''",
                "update ledger.access_token set scopes = array['admin']",
                "update ledger.access_token set expires_at = null", "update ledger.access_token set tags = '{}'",
            ] {
                let error = await #expect(throws: PQError.self, "\(statement)") {
                    try await ledger.pool.query(Query(statement, prepare: false))
                }
                #expect(error?.sqlState == .insufficientPrivilege, "\(statement)")
            }
        }
    }
}
