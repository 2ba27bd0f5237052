internal import Crypto
internal import CryptoExtras
internal import FoundationEssentials
internal import Ledger
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

    /// Why a key of a set cannot be used.
    struct Unusable: Error {
        /// A sentence without subject and full stop.
        let reason: String
    }

    /// Reads a key of a JWK set.
    ///
    /// The algorithms are those of RFC 7518, sections 3.3 and 3.4, and of RFC 8037, section 3.1, with Ed25519.
    ///
    /// - Throws: ``Unusable`` for a key for another purpose or algorithm.
    init(_ key: JSONValue) throws(Unusable) {
        guard key["use"].map({ $0.text == "sig" }) ?? true else { throw Unusable(reason: "is not for signatures") }
        let (algorithm, verifier, parts) = try Self.read(key)
        guard key["alg"].map({ $0.text == algorithm }) ?? true else {
            throw Unusable(reason: "names another algorithm than \(algorithm)")
        }
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

    private static func read(_ key: JSONValue) throws(Unusable) -> (
        algorithm: String, verifier: Verifier, parts: [Data]
    ) {
        func bytes(_ name: String) -> Data? { key[name]?.text.flatMap { Base64URL.decode($0.utf8) } }
        func unusable(for algorithm: String, _ error: any Error) -> Unusable {
            Unusable(reason: "cannot be used for \(algorithm): \(error)")
        }
        switch (key["kty"]?.text, key["crv"]?.text) {
        case ("RSA", _):
            guard let n = bytes("n"), let e = bytes("e") else {
                throw Unusable(reason: "lacks its modulus or exponent")
            }
            do {
                // The initializer refuses a key of less than 2,048 bits.
                return ("RS256", .rs256(try _RSA.Signing.PublicKey(n: n, e: e)), [n, e])
            } catch { throw unusable(for: "RS256", error) }
        case ("EC", "P-256"):
            guard let x = bytes("x"), let y = bytes("y"), x.count == 32, y.count == 32 else {
                throw Unusable(reason: "lacks its coordinates of 32 bytes")
            }
            do {
                return ("ES256", .es256(try P256.Signing.PublicKey(rawRepresentation: x + y)), [x, y])
            } catch { throw unusable(for: "ES256", error) }
        case ("OKP", "Ed25519"):
            guard let x = bytes("x") else { throw Unusable(reason: "lacks its coordinate") }
            do {
                return ("EdDSA", .eddsa(try Curve25519.Signing.PublicKey(rawRepresentation: x)), [x])
            } catch { throw unusable(for: "EdDSA", error) }
        default: throw Unusable(reason: "is of another type than RSA, EC with P-256, and OKP with Ed25519")
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
            Self.signature(signature).map { key.isValidSignature($0, for: bytes) } ?? false
        case .eddsa(let key): key.isValidSignature(signature, for: bytes)
        }
    }

    /// The signature in these bytes; nil if they are none.
    ///
    /// It is then as invalid as a wrong one.
    private static func signature(_ bytes: Data) -> P256.Signing.ECDSASignature? {
        do { return try P256.Signing.ECDSASignature(rawRepresentation: bytes) } catch { return nil }
    }
}

/// The public keys of an issuer: a JWK set (RFC 7517, section 5).
struct JWTKeySet: Sendable {
    /// The maximum size of a set, in bytes.
    static let bytesMax = 1 << 20
    /// The maximum number of keys that are used.
    private static let keysMax = 100

    let keys: [JWTKey]
    /// Why the other keys are not used, each with the id of the key.
    let unusable: [String]
    /// The maximum number of keys for which a reason is kept.
    private static let unusableMax = 10

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
        var (keys, unusable): ([JWTKey], [String]) = ([], [])
        for key in all where keys.count < Self.keysMax {
            do throws(JWTKey.Unusable) { keys.append(try JWTKey(key)) } catch {
                guard unusable.count < Self.unusableMax else { continue }
                unusable.append("key \(key["kid"]?.text?.excerpt ?? "without id") \(error.reason)")
            }
        }
        guard !keys.isEmpty else {
            let reasons = unusable.isEmpty ? "" : ": \(unusable.joined(separator: "; "))"
            throw JWTSettingsError(
                source: source,
                reason:
                    "it contains no key for RS256 with at least 2,048 bits, ES256, or EdDSA with Ed25519\(reasons)")
        }
        (self.keys, self.unusable) = (keys, unusable)
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
