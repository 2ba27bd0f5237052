/// The description of a token to create.
public struct AccessTokenRequest: Hashable, Sendable {
    public var name: Name
    public var scopes: Set<Scope>
    public var confinement: Confinement
    /// When it ceases to be accepted; nil for never.
    public var expiresAt: Timestamp?

    public init(
        name: Name, scopes: Set<Scope>, confinement: Confinement = .unconfined, expiresAt: Timestamp? = nil
    ) {
        self.name = name
        self.scopes = scopes
        self.confinement = confinement
        self.expiresAt = expiresAt
    }

    /// Returns every error of this description; empty if it is valid.
    ///
    /// - Parameter moment: The current time. A token that has already expired is refused.
    public func fieldErrors(at moment: Timestamp) -> [FieldError] {
        var errors = name.fieldErrors(pointer: "/name", lengths: Limits.tokenNameLengths)
        // The name is shown as the reporter of events: it must not look like another one.
        if name.text.unicodeScalars.contains(where: { [.control, .format].contains($0.properties.generalCategory) }) {
            errors.append(FieldError(pointer: "/name", detail: "must not contain control or format characters"))
        }
        if name.text.first?.isWhitespace ?? false || name.text.last?.isWhitespace ?? false {
            errors.append(FieldError(pointer: "/name", detail: "must not begin or end with white space"))
        }
        if scopes.isEmpty { errors.append(FieldError(pointer: "/scopes", detail: "must not be empty")) }
        // The limits of a job's tags.
        errors += JobDescription(name: "a job", tags: confinement.tags).fieldErrors()
        if confinement.job != nil {
            if scopes.contains(.admin) {
                errors.append(FieldError(pointer: "/scopes", detail: "must not contain admin for a token of one job"))
            }
            if expiresAt == nil {
                errors.append(FieldError(pointer: "/expires_at", detail: "is missing; a token of one job must expire"))
            }
        }
        if let expiresAt, expiresAt <= moment || expiresAt > .latest {
            errors.append(FieldError(pointer: "/expires_at", detail: "must be in the future"))
        }
        return errors
    }

    /// Whether a caller with this access may create the token.
    ///
    /// The token's scopes and jobs must be among those of the caller.
    public func isWithin(_ access: Access) -> Bool {
        scopes.allSatisfy { access.permits($0) } && confinement.isWithin(access.confinement)
    }
}
