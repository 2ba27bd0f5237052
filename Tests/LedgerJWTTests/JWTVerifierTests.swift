import Crypto
import CryptoExtras
import FoundationEssentials
import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerJWT

@Suite("JSON Web Tokens")
struct JWTVerifierTests {
    private static func refusal(_ verifier: JWTVerifier, _ text: String) -> JWTRefusal? {
        if case .failure(let refusal) = verifier.access(of: text) { refusal } else { nil }
    }

    /// A moment of the tests, in seconds since 1970-01-01T00:00:00Z.
    private static let now = 1_700_000_000

    private static func verifier(_ issuer: TestIssuer) throws -> JWTVerifier {
        try JWTVerifier(issuer.settings) { Timestamp(microseconds: Int64(now) * 1_000_000) }
    }

    private static func claims(
        _ subject: String = #""reader""#, issuer: String = #""https://issuer.test""#,
        audience: String = #""ledger""#, expiry: String = "\(now + 10)", more: String = ""
    ) -> String { #"{"iss":\#(issuer),"aud":\#(audience),"sub":\#(subject),"exp":\#(expiry)\#(more)}"# }

    @Test("a valid token gives the scopes and the tags of the first matching rule")
    func accepted() throws {
        let issuer = try TestIssuer()
        let verifier = try Self.verifier(issuer)
        let reader = try verifier.access(of: issuer.sign(Self.claims())).get()
        #expect(reader.scopes == [.read] && reader.confinement.isUnconfined)
        #expect(reader.reporter == "jwt:ci:reader")
        let team = try verifier.access(of: issuer.sign(Self.claims(#""team-a""#, more: #","team":"a""#))).get()
        #expect(team.scopes == [.read, .report] && team.confinement == Confinement(tags: ["team": "a"]))
        for claims in [
            Self.claims(audience: #"["other","ledger"]"#), Self.claims(expiry: "\(Self.now - 59)"),
            Self.claims(expiry: "\(Self.now).5"), Self.claims(expiry: "1e300"),
            Self.claims(more: #","nbf":\#(Self.now + 60)"#), Self.claims(more: #","nbf":\#(Self.now - 5).25"#),
        ] { #expect(Self.refusal(verifier, issuer.sign(claims)) == nil, "\(claims)") }
    }

    @Test("a token with a wrong claim is refused")
    func wrongClaims() throws {
        let issuer = try TestIssuer()
        let verifier = try Self.verifier(issuer)
        for (claims, refusal) in [
            (Self.claims(issuer: #""https://issuer.test/""#), .issuer), (Self.claims(issuer: "null"), .issuer),
            (Self.claims(audience: #""ledgers""#), .audience), (Self.claims(audience: #"["x"]"#), .audience),
            (Self.claims(audience: "{}"), .audience), (Self.claims(expiry: "\(Self.now - 60)"), .expired),
            (Self.claims(expiry: "null"), .times), (Self.claims(expiry: #""1""#), .times),
            (Self.claims(more: #","nbf":\#(Self.now + 61)"#), .notYetValid),
            (Self.claims(more: #","nbf":true"#), .times), (Self.claims(#""""#), .subject),
            (Self.claims("1"), .subject), (Self.claims(#""a\u0000b""#), .subject),
            (Self.claims(#""a\u202eb""#), .subject),
            (Self.claims(#""\#(String(repeating: "x", count: 294))""#), .subject),
            (Self.claims(#""unknown""#), .noRule("jwt:ci:unknown")),
            (Self.claims(#""team-a""#), .noRule("jwt:ci:team-a")),
            (Self.claims(#""team-a""#, more: #","team":["a"]"#), .noRule("jwt:ci:team-a")),
            (
                Self.claims(#""team-a""#, more: #","team":"\#(String(repeating: "x", count: 1_000))""#),
                .noRule("jwt:ci:team-a")
            ),
            (Self.claims(more: #","sub":"admin""#), .malformed),
            (Self.claims(more: #","x":{"a":1,"a":2}"#), .malformed),
            ("[]", .malformed), ("{", .malformed),
        ] as [(String, JWTRefusal)] {
            #expect(Self.refusal(verifier, issuer.sign(claims)) == refusal, "\(claims)")
        }
    }

    @Test("a token with a wrong header, key or signature is refused")
    func wrongSignatures() throws {
        let issuer = try TestIssuer()
        let verifier = try Self.verifier(issuer)
        let claims = Self.claims()
        for (header, refusal) in [
            (#"{"alg":"none","kid":"k1"}"#, .algorithm), (#"{"alg":"HS256","kid":"k1"}"#, .algorithm),
            (#"{"alg":"RS256","kid":"k1"}"#, .algorithm), (#"{"kid":"k1"}"#, .malformed),
            (#"{"alg":"ES256","kid":"k2"}"#, .unknownKey), (#"{"alg":"ES256","kid":1}"#, .malformed),
            (#"{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}"#, .malformed),
            (#"{"alg":"ES256","kid":"k1","kid":"k1"}"#, .malformed),
        ] as [(String, JWTRefusal)] {
            #expect(Self.refusal(verifier, issuer.sign(claims, header: header)) == refusal, "\(header)")
        }
        let other = TestIssuer.Key("k1")
        #expect(Self.refusal(verifier, issuer.sign(claims, key: other)) == .signature)
        let token = issuer.sign(claims)
        let parts = token.split(separator: ".").map(String.init)
        let admin = TestIssuer.base64(Array(Self.claims(#""admin""#).utf8))
        for (text, refusal) in [
            ("\(parts[0]).\(admin).\(parts[2])", .signature), ("\(parts[0]).\(parts[1]).", .signature),
            ("\(parts[0]).\(parts[1]).AAAA", .signature), ("\(parts[0]).\(parts[1])", .malformed),
            ("\(token).", .malformed), ("\(token)=", .malformed), ("..", .malformed), (" \(token)", .malformed),
            (String(repeating: "x", count: 9_000), .malformed), (String(repeating: ".", count: 1_000_000), .malformed),
        ] as [(String, JWTRefusal)] { #expect(Self.refusal(verifier, text) == refusal, "\(text)") }
        // A token without a key id is accepted if there is only one key.
        let anonymous = issuer.sign(claims, header: #"{"alg":"ES256"}"#)
        #expect(Self.refusal(verifier, anonymous) == nil)
        try issuer.publish([issuer.key, TestIssuer.Key("k2")])
        #expect(Self.refusal(try Self.verifier(issuer), anonymous) == .unknownKey)
    }

    @Test("the signatures of RFC 7515 and RFC 8037 are verified, and no others")
    func vectors() throws {
        let ec = #"""
            {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
            """#
        let rsa = #"""
            {"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ\#
            PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYU\#
            sLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGN\#
            j8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}
            """#
        let edwards = #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
        let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        for (key, algorithm, text, signature) in [
            (
                ec, "ES256", "eyJhbGciOiJFUzI1NiJ9.\(payload)",
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
            ),
            (
                rsa, "RS256", "eyJhbGciOiJSUzI1NiJ9.\(payload)",
                """
                cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG\
                bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K\
                0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6\
                LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw
                """
            ),
            (
                edwards, "EdDSA", "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
            ),
        ] {
            let key = try JWTKey(try JSONReader.read(Array(key.utf8)))
            #expect(key.algorithm == algorithm)
            let signature = try #require(Base64URL.decode(signature.utf8))
            #expect(key.verifies(signature, of: Data(text.utf8)), "\(algorithm)")
            #expect(!key.verifies(signature, of: Data((text + "x").utf8)), "\(algorithm)")
            var changed = signature
            changed[0] ^= 1
            #expect(!key.verifies(changed, of: Data(text.utf8)), "\(algorithm)")
            #expect(!key.verifies(Data(), of: Data(text.utf8)), "\(algorithm)")
        }
    }

    @Test("keys for other purposes, algorithms and sizes are not used")
    func otherKeys() throws {
        let small = try _RSA.Signing.PrivateKey(unsafeKeySize: .init(bitCount: 1_024)).publicKey
        let primitives = try small.getKeyPrimitives()
        let (n, e) = (TestIssuer.base64(primitives.modulus), TestIssuer.base64(primitives.publicExponent))
        let good = TestIssuer.Key("k").json
        for (text, reason) in [
            (#"{"kty":"RSA","n":"\#(n)","e":"\#(e)"}"#, "cannot be used for RS256"),
            (good.replacing(#""use":"sig""#, with: #""use":"enc""#), "is not for signatures"),
            (good.replacing(#""use":"sig""#, with: #""alg":"ES384""#), "names another algorithm than ES256"),
            (good.replacing("P-256", with: "P-384"), "is of another type"),
            (good.replacing(#""x":""#, with: #""x":"AA"#), "lacks its coordinates"),
            (#"{"kty":"oct","k":"AAAA","alg":"HS256"}"#, "is of another type"), ("{}", "is of another type"),
            ("[]", "is of another type"),
        ] {
            let error = #expect(throws: JWTSettingsError.self, "\(text)") {
                try JWTKeySet(Array(#"{"keys":[\#(text)]}"#.utf8), source: "s")
            }
            #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
            let both = try JWTKeySet(Array(#"{"keys":[\#(text),\#(good)]}"#.utf8), source: "s")
            #expect(both.keys.count == 1 && both.unusable.count == 1 && both.unusable[0].contains(reason))
        }
        for text in ["", "{}", #"{"keys":{}}"#, #"{"keys":[]}"#, "[\(good)]"] {
            #expect(throws: JWTSettingsError.self, "\(text)") { try JWTKeySet(Array(text.utf8), source: "s") }
        }
        #expect(try JWTKeySet(Array(TestIssuer.set([TestIssuer.Key("k")]).utf8), source: "s").keys.count == 1)
    }

    @Test("changed keys and rules apply, end earlier accesses, and unusable ones do not")
    func changes() async throws {
        let issuer = try TestIssuer()
        let clock = StoppedClock()
        let verifier = try JWTVerifier(issuer.settings, now: { clock.now })
        let reloading = Task { await verifier.reloadChanges(TestCluster.logger) }
        defer { reloading.cancel() }
        let (first, second) = (issuer.key, TestIssuer.Key("k2"))
        let access = try verifier.access(of: issuer.token("reader")).get()
        guard case .signed(let signed) = access.credential else { throw Unexpected() }
        let next = issuer.token("reader", key: second)
        #expect(Self.refusal(verifier, next) == .unknownKey)
        try issuer.publish([first, second])
        // A token with an unknown key does not wait for the next check; there is one such reading a minute.
        #expect(await verifier.reloadForUnknownKey())
        #expect(Self.refusal(verifier, next) == nil)
        clock.move(by: .seconds(60) - .nanoseconds(1))
        #expect(!(await verifier.reloadForUnknownKey()))
        clock.move(by: .nanoseconds(1))
        #expect(await verifier.reloadForUnknownKey())
        #expect(verifier.isValid(signed))
        try issuer.publish([second])
        try await eventually(equals: false) { verifier.isValid(signed) }
        #expect(Self.refusal(verifier, issuer.token("reader")) == .unknownKey)
        let team = try verifier.access(of: issuer.token("team-a", #","team":"a""#, key: second)).get()
        guard case .signed(let signedTeam) = team.credential else { throw Unexpected() }
        try issuer.replaceRules(#"{"issuer_name":"ci","rules":[]}"#)
        #expect(throws: JWTSettingsError.self) { try verifier.readRules() }
        #expect(verifier.isValid(signedTeam))
        try issuer.replaceRules(TestIssuer.rules.replacing("reader", with: "viewer"))
        try await eventually(equals: false) { verifier.isValid(signedTeam) }
        #expect(Self.refusal(verifier, next) == .noRule("jwt:ci:reader"))
    }

    private struct Unexpected: Error {}
}
