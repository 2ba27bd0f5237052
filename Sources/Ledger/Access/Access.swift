/// The permissions and the identity of a caller.
public struct Access: Hashable, Sendable {
    /// The proof of a caller's identity.
    public enum Credential: Hashable, Sendable {
        /// None: the ledger has no authentication.
        case none
        /// A token of the ledger.
        case token(AccessToken.ID)
        /// A JSON Web Token.
        case signed(SignedToken)
    }

    /// The proof of the caller's identity.
    public let credential: Credential
    /// The name recorded with the caller's events; nil without authentication.
    public let reporter: Name?
    /// The operations that the caller may request.
    public let scopes: Set<Scope>
    /// The jobs that the caller may use.
    public let confinement: Confinement

    public init(credential: Credential, reporter: Name?, scopes: Set<Scope>, confinement: Confinement) {
        self.credential = credential
        self.reporter = reporter
        self.scopes = scopes
        self.confinement = confinement
    }

    /// The access of every caller of a ledger without authentication.
    public static let everything = Access(
        credential: .none, reporter: nil, scopes: [.admin], confinement: .unconfined)

    /// Whether the caller may request operations of this scope.
    public func permits(_ scope: Scope) -> Bool { scopes.contains(scope) || scopes.contains(.admin) }
}
