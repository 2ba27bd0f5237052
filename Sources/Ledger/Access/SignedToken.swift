/// The identity of a JSON Web Token (RFC 7519) with a verified signature.
public struct SignedToken: Hashable, Sendable {
    /// The digest of the key that signed it.
    public let keyDigest: [UInt8]
    /// The number of the version of the rules that gave the access.
    public let rulesVersion: UInt64
    /// When it ceases to be accepted.
    public let expiresAt: Timestamp

    public init(keyDigest: [UInt8], rulesVersion: UInt64, expiresAt: Timestamp) {
        self.keyDigest = keyDigest
        self.rulesVersion = rulesVersion
        self.expiresAt = expiresAt
    }
}
