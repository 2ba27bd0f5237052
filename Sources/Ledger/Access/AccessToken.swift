/// A token of a ledger with its permissions, without its secret.
public struct AccessToken: Hashable, Sendable {
    /// The public part of a token's text, which identifies it.
    public struct ID: Hashable, Sendable, CustomStringConvertible {
        /// Twelve characters of the Base 32 alphabet (RFC 4648, section 6) in lower case.
        public let text: String

        /// Creates an id; nil if the text is not one.
        public init?(_ text: String) {
            guard text.utf8.count == Self.length, text.utf8.allSatisfy(Self.isValid) else { return nil }
            self.text = text
        }

        /// The number of characters.
        public static let length = 12

        private static func isValid(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "2")...UInt8(ascii: "7")).contains(byte)
        }

        public var description: String { text }
    }

    /// Whether a token is accepted.
    public enum State: String, CaseIterable, Sendable {
        case active, expired, revoked
    }

    public let id: ID
    /// The name, which no other token of the ledger ever has.
    public let name: Name
    public let scopes: Set<Scope>
    public let confinement: Confinement
    public let createdAt: Timestamp
    /// The reporter of the request that created it.
    ///
    /// Nil if it was created with access to the database.
    public let createdBy: Name?
    /// When it ceases to be accepted; nil for never.
    public let expiresAt: Timestamp?
    /// When it was revoked; nil if it was not.
    public let revokedAt: Timestamp?
    /// When it was last used, to about a minute; nil for never.
    public let lastUsedAt: Timestamp?

    public init(
        id: ID, name: Name, scopes: Set<Scope>, confinement: Confinement, createdAt: Timestamp, createdBy: Name?,
        expiresAt: Timestamp?, revokedAt: Timestamp?, lastUsedAt: Timestamp?
    ) {
        self.id = id
        self.name = name
        self.scopes = scopes
        self.confinement = confinement
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
        self.lastUsedAt = lastUsedAt
    }

    /// Returns whether it is accepted at a moment.
    public func state(at moment: Timestamp) -> State {
        if revokedAt != nil { return .revoked }
        if let expiresAt, expiresAt <= moment { return .expired }
        return .active
    }

    /// The reporter recorded with events appended with this token.
    public var reporter: Name { Name("token:\(name.text)") }

    /// The access that it gives.
    public var access: Access {
        Access(credential: .token(id), reporter: reporter, scopes: scopes, confinement: confinement)
    }
}
