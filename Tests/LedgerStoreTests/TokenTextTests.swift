import Ledger
import Testing

@testable import LedgerStore

@Suite("Tokens")
struct TokenTextTests {
    @Test("a token is accepted only as a whole")
    func checks() throws {
        let token = TokenText.random()
        #expect(token.text.utf8.count == TokenText.length && token.text.hasPrefix("pl_\(token.id)"))
        #expect(TokenText(token.text)?.digest == token.digest)
        #expect(TokenText.random().text != token.text)
        var accepted = 0
        for index in token.text.indices {
            var changed = token.text
            changed.replaceSubrange(index...index, with: token.text[index] == "a" ? "b" : "a")
            if TokenText(changed) != nil { accepted += 1 }
        }
        // The checksum has 20 bits.
        #expect(accepted == 0)
        for text in ["", "pl_", String(token.text.dropFirst()), token.text + "a", token.text.uppercased()] {
            #expect(TokenText(text) == nil)
        }
    }

    @Test("a token is accepted until it expires, and its use is recorded once a minute")
    func registry() throws {
        let clock = TestClock()
        let registry = TokenRegistry(clock: { clock.now })
        #expect(!registry.isRequired)
        let text = TokenText.random()
        let token = AccessToken(
            id: text.id, name: "t", scopes: [.read], confinement: .unconfined, createdAt: clock.now, createdBy: nil,
            expiresAt: Timestamp(microseconds: 200_000_000), revokedAt: nil, lastUsedAt: nil)
        registry.replace([(token, text.digest)], TokenRegistry.Version(tokens: 1))
        #expect(registry.isRequired)
        #expect(try registry.access(of: text.text).get() == token.access)
        #expect(registry.takeUnrecordedUses().map(\.token) == [text.id])
        clock.now = Timestamp(microseconds: 59_000_000)
        _ = registry.access(of: text.text)
        #expect(registry.takeUnrecordedUses().isEmpty)
        clock.now = Timestamp(microseconds: 61_000_000)
        _ = registry.access(of: text.text)
        #expect(registry.takeUnrecordedUses().map(\.at) == [clock.now])
        #expect(registry.isValid(token.id))
        clock.now = Timestamp(microseconds: 200_000_000)
        #expect(registry.access(of: text.text) == .failure(.expired))
        #expect(!registry.isValid(token.id))
        // Another secret with the id of a known token.
        #expect(registry.access(of: TokenText.random().text) == .failure(.unknown))
    }

    @Test("tokens that were read earlier do not replace later ones")
    func order() throws {
        let registry = TokenRegistry()
        let text = TokenText.random()
        func token(revokedAt: Timestamp?) -> AccessToken {
            AccessToken(
                id: text.id, name: "t", scopes: [.read], confinement: .unconfined, createdAt: .now, createdBy: nil,
                expiresAt: nil, revokedAt: revokedAt, lastUsedAt: nil)
        }
        let old = [(token: token(revokedAt: nil), digest: text.digest)]
        registry.replace(old, TokenRegistry.Version(tokens: 1))
        registry.replace([(token(revokedAt: .now), text.digest)], TokenRegistry.Version(tokens: 1, revoked: 1))
        registry.replace(old, TokenRegistry.Version(tokens: 1))
        #expect(registry.access(of: text.text) == .failure(.revoked))
        // Another token was created after the revocation: nothing is undone.
        registry.replace(old, TokenRegistry.Version(tokens: 2))
        #expect(registry.access(of: text.text) == .failure(.revoked))
    }
}

/// A clock that a test sets.
///
/// `@unchecked Sendable`: only the test's own task uses it.
private final class TestClock: @unchecked Sendable {
    var now = Timestamp(microseconds: 1_000_000)
}
