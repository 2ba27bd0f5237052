public import Ledger

/// Why a JSON Web Token is not accepted.
public enum JWTRefusal: Error, Hashable, Sendable {
    /// It is not a signed token, or a claim has another type than it should have.
    case malformed
    /// No key of the issuer has its key id.
    case unknownKey
    /// Its algorithm is not that of the key.
    case algorithm
    case signature
    case issuer
    case audience
    /// It has no expiry, or one of its times is not a number.
    case times
    case expired
    case notYetValid
    /// It has no subject, or one that cannot be part of a reporter.
    case subject
    /// No rule gives this reporter a permission.
    case noRule(Name)
    /// It was accepted before, and is not any more.
    case withdrawn
    /// The issuer's keys could not be read yet.
    case keysUnavailable

    /// The reason in words, for the caller.
    public var detail: String {
        switch self {
        case .malformed: "The text is neither a token of this ledger nor a valid JSON Web Token."
        case .unknownKey: "The token is signed with a key that its issuer does not publish."
        case .algorithm: "The token's algorithm is not that of its key; only RS256, ES256 and EdDSA are accepted."
        case .signature: "The token's signature is invalid."
        case .issuer: "The token is from another issuer than this server accepts."
        case .audience: "The token is for another audience than this server's."
        case .times:
            "The token needs its expiry, exp, as a number of seconds since 1970; so must nbf be, if it is present."
        case .expired: "The token has expired. Request a new one from its issuer."
        case .notYetValid: "The token is not valid yet. Check the clocks of its issuer and of this server."
        case .subject:
            "The token needs a subject of at most \(Limits.reporterLengths.upperBound) characters with the names before "
                + "it, without control characters."
        case .noRule: "No rule of this server gives the token a permission."
        case .withdrawn:
            "The token has expired, its key was withdrawn, or the rules of this server have changed. Request a new one."
        case .keysUnavailable: "This server could not read the keys of the token's issuer yet. Try again later."
        }
    }
}
