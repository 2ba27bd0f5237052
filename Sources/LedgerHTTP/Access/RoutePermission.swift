internal import Ledger

/// The permission that a route needs, and the jobs that it concerns.
enum RoutePermission: Hashable, Sendable {
    /// Any caller, also without a token.
    case open
    /// The scope. The route concerns no job.
    case general(Scope)
    /// The scope. The route concerns the job in its path.
    ///
    /// The job must be within the caller's confinement.
    case job(Scope)
    /// The scope. The handler limits the jobs to the caller's confinement.
    case jobs(Scope)
    /// The scope, without a confinement: the route concerns the whole ledger.
    case ledger(Scope)

    /// The scope that a caller needs; nil for none.
    var scope: Scope? {
        switch self {
        case .open: nil
        case .general(let scope), .job(let scope), .jobs(let scope), .ledger(let scope): scope
        }
    }
}
