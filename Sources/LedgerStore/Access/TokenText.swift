internal import Crypto
package import Ledger

/// The text of a token: `pl_`, its id, its secret and a checksum.
///
/// The secret has 160 random bits. Its SHA-256 is therefore as hard to reverse as any other, without the costly hash
/// that passwords need. The checksum finds typing errors and lets scanners recognise tokens in published files.
package struct TokenText: Sendable {
    package let id: AccessToken.ID
    /// The text that the caller presents.
    package let text: String

    private static let prefix = "pl_"
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
    private static let secretLength = 32
    private static let checksumLength = 4
    /// The number of bytes of a token's text.
    package static let length = prefix.utf8.count + AccessToken.ID.length + secretLength + checksumLength

    /// Makes a new token.
    ///
    /// The system generator is cryptographically secure.
    package static func random() -> TokenText {
        var generator = SystemRandomNumberGenerator()
        func characters(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in alphabet[Int(generator.next(upperBound: UInt64(alphabet.count)))] }
        }
        let id = characters(AccessToken.ID.length)
        let body = Array(prefix.utf8) + id + characters(secretLength)
        let text = String(decoding: body + checksum(of: body), as: UTF8.self)
        guard let id = AccessToken.ID(String(decoding: id, as: UTF8.self)) else {
            preconditionFailure("the alphabet has a character that ids do not allow")
        }
        return TokenText(id: id, text: text)
    }

    private init(id: AccessToken.ID, text: String) {
        self.id = id
        self.text = text
    }

    /// Reads a text; nil if it is not that of a token.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == Self.length, bytes.starts(with: Self.prefix.utf8) else { return nil }
        let body = Array(bytes.dropLast(Self.checksumLength))
        let id = body.dropFirst(Self.prefix.utf8.count).prefix(AccessToken.ID.length)
        guard bytes.suffix(Self.checksumLength).elementsEqual(Self.checksum(of: body)),
            let id = AccessToken.ID(String(decoding: id, as: UTF8.self))
        else { return nil }
        self.init(id: id, text: text)
    }

    /// The SHA-256 of the text.
    package var digest: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }

    /// Twenty bits of the SHA-256 of the rest of the text.
    private static func checksum(of body: [UInt8]) -> [UInt8] {
        SHA256.hash(data: body).prefix(checksumLength).map { alphabet[Int($0) % alphabet.count] }
    }

    /// Compares two digests in a time that does not depend on their bytes.
    static func areEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
