/// The key that signs deliveries.
///
/// Standard Webhooks writes it as `whsec_` and Base64.
public struct WebhookSecret: Hashable, Sendable {
    /// The text that the subscriber keeps.
    public let text: String
    /// The bytes of the key.
    public let key: [UInt8]

    /// The valid lengths of the key, in bytes (Standard Webhooks).
    public static let keyLengths = 24...64
    private static let prefix = "whsec_"
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Parses a text; nil if it is not that of a secret.
    public init?(_ text: String) {
        guard text.hasPrefix(Self.prefix), text.utf8.count <= 128,
            let key = Self.decode(Array(text.utf8.dropFirst(Self.prefix.utf8.count))),
            Self.keyLengths.contains(key.count)
        else { return nil }
        self.text = text
        self.key = key
    }

    /// Creates the secret with this key.
    ///
    /// - Precondition: Its length is one of ``keyLengths``.
    public init(key: [UInt8]) {
        precondition(Self.keyLengths.contains(key.count), "a secret has 24 to 64 bytes")
        self.key = key
        text = Self.prefix + Self.encode(key)
    }

    /// Makes a new secret of 256 random bits.
    ///
    /// The system generator is cryptographically secure.
    public static func random() -> WebhookSecret {
        var generator = SystemRandomNumberGenerator()
        return WebhookSecret(key: (0..<32).map { _ in .random(in: 0 ... .max, using: &generator) })
    }

    /// Encodes bytes as Base64 (RFC 4648, section 4).
    public static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(0) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                let isPadding = index > group.count
                text.append(
                    isPadding ? UInt8(ascii: "=") : alphabet[Int(bits >> UInt32(18 - 6 * index) & 63)])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Decodes the output of ``encode(_:)``; nil for any other text.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count.isMultiple(of: 4) else { return nil }
        var (bits, count): (UInt32, Int) = (0, 0)
        var bytes: [UInt8] = []
        for character in text.prefix(while: { $0 != UInt8(ascii: "=") }) {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            (bits, count) = (bits << 6 | UInt32(value), count + 6)
            guard count >= 8 else { continue }
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        return encode(bytes).utf8.elementsEqual(text) ? bytes : nil
    }
}
