/// The permissions and the identity of a caller.
public struct Access: Hashable, Sendable {
    /// The token of the caller; nil without authentication.
    public let token: AccessToken.ID?
    /// The name recorded with the caller's events; nil without authentication.
    public let reporter: Name?
    /// The operations that the caller may request.
    public let scopes: Set<Scope>
    /// The jobs that the caller may use.
    public let confinement: Confinement

    public init(token: AccessToken.ID?, reporter: Name?, scopes: Set<Scope>, confinement: Confinement) {
        self.token = token
        self.reporter = reporter
        self.scopes = scopes
        self.confinement = confinement
    }

    /// The access of every caller of a ledger without authentication.
    public static let everything = Access(token: nil, reporter: nil, scopes: [.admin], confinement: .unconfined)

    /// Whether the caller may request operations of this scope.
    public func permits(_ scope: Scope) -> Bool { scopes.contains(scope) || scopes.contains(.admin) }
}
