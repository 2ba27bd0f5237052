internal import Crypto
internal import CryptoExtras
internal import FoundationEssentials
internal import LedgerWire

/// A public key of an issuer, for one algorithm.
struct JWTKey: Sendable {
    private enum Verifier: Sendable {
        case rs256(_RSA.Signing.PublicKey)
        case es256(P256.Signing.PublicKey)
        case eddsa(Curve25519.Signing.PublicKey)
    }

    /// The id; nil if the issuer states none.
    let id: String?
    /// The name of the algorithm, as in the header of a token.
    let algorithm: String
    /// The digest of the key and its id.
    let digest: [UInt8]
    private let verifier: Verifier

    /// Reads a key of a JWK set; nil if it is for another purpose or algorithm.
    ///
    /// The algorithms are those of RFC 7518, sections 3.3 and 3.4, and of RFC 8037, section 3.1, with Ed25519.
    init?(_ key: JSONValue) {
        guard key["use"].map({ $0.text == "sig" }) ?? true, let (algorithm, verifier, parts) = Self.read(key),
            key["alg"].map({ $0.text == algorithm }) ?? true
        else { return nil }
        id = key["kid"]?.text
        self.algorithm = algorithm
        self.verifier = verifier
        var hash = SHA256()
        for part in [Data(algorithm.utf8), Data((key["kid"]?.text ?? "").utf8)] + parts {
            withUnsafeBytes(of: part.count) { hash.update(bufferPointer: $0) }
            hash.update(data: part)
        }
        digest = Array(hash.finalize())
    }

    private static func read(_ key: JSONValue) -> (algorithm: String, verifier: Verifier, parts: [Data])? {
        func bytes(_ name: String) -> Data? { key[name]?.text.flatMap { Base64URL.decode($0.utf8) } }
        switch (key["kty"]?.text, key["crv"]?.text) {
        case ("RSA", _):
            // The initializer refuses a key of less than 2,048 bits.
            guard let n = bytes("n"), let e = bytes("e"), let key = try? _RSA.Signing.PublicKey(n: n, e: e) else {
                return nil
            }
            return ("RS256", .rs256(key), [n, e])
        case ("EC", "P-256"):
            guard let x = bytes("x"), let y = bytes("y"), x.count == 32, y.count == 32,
                let key = try? P256.Signing.PublicKey(rawRepresentation: x + y)
            else { return nil }
            return ("ES256", .es256(key), [x, y])
        case ("OKP", "Ed25519"):
            guard let x = bytes("x"), let key = try? Curve25519.Signing.PublicKey(rawRepresentation: x) else {
                return nil
            }
            return ("EdDSA", .eddsa(key), [x])
        default: return nil
        }
    }

    /// Whether this key made the signature. Costs up to 0.2 ms.
    func verifies(_ signature: Data, of bytes: Data) -> Bool {
        switch verifier {
        case .rs256(let key):
            key.isValidSignature(
                _RSA.Signing.RSASignature(rawRepresentation: signature), for: SHA256.hash(data: bytes),
                padding: .insecurePKCS1v1_5)
        case .es256(let key):
            (try? P256.Signing.ECDSASignature(rawRepresentation: signature)).map {
                key.isValidSignature($0, for: bytes)
            } ?? false
        case .eddsa(let key): key.isValidSignature(signature, for: bytes)
        }
    }
}

/// The public keys of an issuer: a JWK set (RFC 7517, section 5).
struct JWTKeySet: Sendable {
    /// The maximum size of a set, in bytes.
    static let bytesMax = 1 << 20
    /// The maximum number of keys that are used.
    private static let keysMax = 100

    let keys: [JWTKey]

    /// Parses a set.
    ///
    /// - Throws: The reason why it cannot be used, for example that it contains no usable key. Other keys are ignored,
    ///   because issuers publish them too: RFC 7517, section 5.
    init(_ bytes: [UInt8], source: String) throws(JWTSettingsError) {
        guard bytes.count <= Self.bytesMax else {
            throw JWTSettingsError(source: source, reason: "it has more than \(Self.bytesMax) bytes")
        }
        let set: JSONValue
        do { set = try JSONReader.read(bytes) } catch {
            throw JWTSettingsError(source: source, reason: "it is not JSON: \(error)")
        }
        guard let all = set["keys"]?.elements else {
            throw JWTSettingsError(source: source, reason: "it is no JWK set: it has no array \"keys\"")
        }
        keys = Array(all.lazy.compactMap { JWTKey($0) }.prefix(Self.keysMax))
        guard !keys.isEmpty else {
            throw JWTSettingsError(
                source: source,
                reason: "it contains no key for RS256 with at least 2,048 bits, ES256, or EdDSA with Ed25519")
        }
    }

    /// Returns the key of a token.
    ///
    /// The key determines the algorithm, never the token. A token without a key id is accepted if the issuer has only
    /// one key.
    func key(of token: JWTText) throws(JWTRefusal) -> JWTKey {
        let found = token.keyID.map { id in keys.filter { $0.id == id } } ?? (keys.count == 1 ? keys : [])
        guard !found.isEmpty else { throw .unknownKey }
        guard let key = found.first(where: { $0.algorithm == token.algorithm }) else { throw .algorithm }
        return key
    }
}
