/// The settings for accepting JSON Web Tokens.
public struct JWTSettings: Hashable, Sendable {
    /// The place of the issuer's keys.
    public enum KeySource: Hashable, Sendable {
        /// The path of a file, read again when it changes.
        case file(String)
        /// An address, read again every ten minutes, and after an unknown key.
        case url(String)
    }

    /// The issuer's keys: a JWK set (RFC 7517, section 5).
    public var keys: KeySource
    /// The claim `iss` of every token.
    public var issuer: String
    /// A value of the claim `aud` of every token.
    public var audience: String
    /// The path of the file with the rules that give tokens their access.
    public var rules: String
    /// The path of a file with the authorities to trust; nil for the system's.
    public var caFile: String?

    public init(keys: KeySource, issuer: String, audience: String, rules: String, caFile: String? = nil) {
        self.keys = keys
        self.issuer = issuer
        self.audience = audience
        self.rules = rules
        self.caFile = caFile
    }
}

/// The error of keys or rules that cannot be used.
public struct JWTSettingsError: Error, Hashable, CustomStringConvertible {
    /// The path of a file, or an address.
    public let source: String
    /// Why it cannot be used.
    public let reason: String

    public var description: String { "Cannot use \(source) for JSON Web Tokens: \(reason)." }
}
