internal import Crypto
internal import FoundationEssentials
public import LedgerJWT

/// An issuer of JSON Web Tokens, with its keys and the server's rules in files.
public final class TestIssuer: Sendable {
    /// A signing key of an issuer, for ES256.
    public struct Key: Sendable {
        public let id: String
        fileprivate let key = P256.Signing.PrivateKey()

        public init(_ id: String) {
            self.id = id
        }

        /// The public key as an element of a JWK set.
        public var json: String {
            let point = key.publicKey.rawRepresentation
            let (x, y) = (TestIssuer.base64(point.prefix(32)), TestIssuer.base64(point.suffix(32)))
            return #"{"kty":"EC","crv":"P-256","use":"sig","kid":"\#(id)","x":"\#(x)","y":"\#(y)"}"#
        }
    }

    /// The first key.
    public let key = Key("k1")
    private let folder: String

    /// The rules.
    ///
    /// The subjects `team-…` may report for jobs of the claim `team`; `reader` and `admin` are unconfined.
    public static let rules = """
        {"issuer_name": "ci", "rules": [
            {"claims": {"/sub": "reader"}, "scopes": ["read"]},
            {"claims": {"/sub": "admin"}, "scopes": ["admin"]},
            {"claims": {"/sub": "team-*"}, "scopes": ["report", "read"], "tag_claims": {"team": "/team"}}
        ]}
        """

    public init(rules: String = TestIssuer.rules) throws {
        folder = "/tmp/ledger-issuer-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        try publish([key])
        try replaceRules(rules)
    }

    deinit { TestFiles.remove(folder) }

    /// The path of the file with the keys.
    public var keysPath: String { "\(folder)/keys.json" }
    /// The path of the file with the rules.
    public var rulesPath: String { "\(folder)/rules.json" }

    /// The settings of a server that accepts the issuer's tokens.
    public var settings: JWTSettings {
        JWTSettings(keys: .file(keysPath), issuer: "https://issuer.test", audience: "ledger", rules: rulesPath)
    }

    /// The settings of a server that reads the keys from an address.
    public func settings(keysAt url: String) -> JWTSettings {
        var settings = settings
        settings.keys = .url(url)
        return settings
    }

    /// The JWK set of keys.
    public static func set(_ keys: [Key]) -> String {
        #"{"keys":[{"kty":"oct","k":"AAAA"},\#(keys.map(\.json).joined(separator: ","))]}"#
    }

    /// Replaces the file with the keys.
    public func publish(_ keys: [Key]) throws { try write(Self.set(keys), to: keysPath) }

    /// Replaces the file with the rules.
    public func replaceRules(_ rules: String) throws { try write(rules, to: rulesPath) }

    private func write(_ text: String, to path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    }

    /// Returns a token for this subject that expires in an hour.
    ///
    /// - Parameter more: Further claims, such as `,"team":"a"`. They may not repeat others.
    public func token(_ subject: String, _ more: String = "", key: Key? = nil, lifetime: Double = 3_600) -> String {
        let expiry = Int(Date().timeIntervalSince1970 + lifetime)
        return sign(
            #"{"iss":"https://issuer.test","aud":["x","ledger"],"sub":"\#(subject)","exp":\#(expiry)\#(more)}"#,
            key: key)
    }

    /// Signs claims, with a header for the key or another one.
    public func sign(_ claims: String, header: String? = nil, key: Key? = nil) -> String {
        let key = key ?? self.key
        let header = header ?? #"{"alg":"ES256","typ":"JWT","kid":"\#(key.id)"}"#
        let body = "\(Self.base64(Data(header.utf8))).\(Self.base64(Data(claims.utf8)))"
        guard let signature = try? key.key.signature(for: Data(body.utf8)) else {
            preconditionFailure("a key could not sign")
        }
        return "\(body).\(Self.base64(signature.rawRepresentation))"
    }

    /// Base64 for URLs without padding.
    public static func base64(_ data: some Collection<UInt8>) -> String {
        Data(data).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
