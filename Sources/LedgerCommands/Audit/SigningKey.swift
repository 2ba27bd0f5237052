import Crypto
import FoundationEssentials
import Glibc

/// An Ed25519 key (RFC 8032) and its PEM files.
///
/// The private key is PEM around PKCS #8, the public key PEM around SubjectPublicKeyInfo (RFC 8410): the formats that
/// `openssl genpkey -algorithm ed25519` writes.
struct SigningKey {
    let key: Curve25519.Signing.PrivateKey

    // The bytes around the 32 bytes of an Ed25519 key are always the same (RFC 8410, section 10.3).
    private static let privatePrefix: [UInt8] = [
        0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]
    private static let publicPrefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]

    /// Creates a new random key.
    static func make() -> SigningKey { SigningKey(key: Curve25519.Signing.PrivateKey()) }

    /// Reads a private key.
    static func read(_ path: String) throws(CommandFailure) -> SigningKey {
        let bytes = try decode(path, label: "PRIVATE KEY", prefix: privatePrefix)
        do { return SigningKey(key: try Curve25519.Signing.PrivateKey(rawRepresentation: bytes)) } catch {
            throw CommandFailure(.usage, "\(path): not a usable Ed25519 key.")
        }
    }

    /// Reads a public key.
    static func readPublic(_ path: String) throws(CommandFailure) -> Curve25519.Signing.PublicKey {
        let bytes = try decode(path, label: "PUBLIC KEY", prefix: publicPrefix)
        do { return try Curve25519.Signing.PublicKey(rawRepresentation: bytes) } catch {
            throw CommandFailure(.usage, "\(path): not a usable Ed25519 key.")
        }
    }

    /// Writes the private key and, with the suffix `.pub`, the public key.
    ///
    /// Only the owner can read the private key.
    ///
    /// - Throws: ``CommandFailure`` if one of the files exists: a key is never overwritten. No file is left then that
    ///   was not there before.
    func write(_ path: String) throws(CommandFailure) {
        try Self.write(
            Self.encode(Self.privatePrefix + Array(key.rawRepresentation), label: "PRIVATE KEY"), to: path, mode: 0o600)
        do {
            try Self.write(
                Self.encode(Self.publicPrefix + Array(key.publicKey.rawRepresentation), label: "PUBLIC KEY"),
                to: path + ".pub", mode: 0o644)
        } catch {
            unlink(path)
            throw error
        }
    }

    /// Creates a file; removes it again if it cannot be written.
    private static func write(_ text: String, to path: String, mode: mode_t) throws(CommandFailure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw CommandFailure(.failed, "Cannot create \(path): \(String(cString: strerror(errno)).lowercased()).")
        }
        defer { close(descriptor) }
        var text = text
        let written = text.withUTF8 { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard written == text.utf8.count, fsync(descriptor) == 0 else {
            let reason = String(cString: strerror(errno)).lowercased()
            unlink(path)
            throw CommandFailure(.failed, "Cannot write \(path): \(reason).")
        }
    }

    private static func encode(_ bytes: [UInt8], label: String) -> String {
        "-----BEGIN \(label)-----\n\(Data(bytes).base64EncodedString())\n-----END \(label)-----\n"
    }

    private static func decode(_ path: String, label: String, prefix: [UInt8]) throws(CommandFailure) -> [UInt8] {
        let text: String
        do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
            throw CommandFailure(.usage, "Cannot read \(path): check that the file exists and is readable.")
        }
        let lines = text.split(whereSeparator: \.isNewline)
        guard let begin = lines.firstIndex(of: "-----BEGIN \(label)-----"),
            let end = lines.firstIndex(of: "-----END \(label)-----"), begin < end,
            let data = Data(base64Encoded: lines[(begin + 1)..<end].joined()), data.count == prefix.count + 32,
            data.starts(with: prefix)
        else {
            throw CommandFailure(
                .usage,
                "\(path) contains no Ed25519 \(label.lowercased()) in PEM. Create one with 'anchor --new-key FILE'.")
        }
        return Array(data.suffix(32))
    }
}

extension Curve25519.Signing.PublicKey {
    /// The first half of the key's SHA-256, in hexadecimal: a short name for the key.
    var fingerprint: String {
        Hexadecimal.text(Array(SHA256.hash(data: rawRepresentation).prefix(16)))
    }
}
