/// The outcome of a commit, derived from the response to its group.
///
/// Every commit is judged by this type only. It is acknowledged only if PostgreSQL reported success and no warning that
/// its synchronous standbys are missing.
enum CommitOutcome {
    /// Durable, also on the standbys if PostgreSQL waits for any.
    case committed
    /// Committed on this server only; a failover may lose it.
    ///
    /// The wait for its standbys was cancelled.
    case committedLocally(warning: String)
    /// The connection was lost before a response, so the commit may have happened.
    case unknown(PQError)
    /// The server refused a statement, so nothing was committed.
    case refused(PQError)

    /// Derives the outcome from the response.
    ///
    /// - Parameters:
    ///   - failure: The first error that the server sent for a statement of the group.
    ///   - loss: Why the connection became unusable, if it was lost before the end of the group.
    ///   - replicationWarning: The warning that the server stopped waiting for its standbys.
    init(failure: PQError?, loss: PQError?, replicationWarning: String?) {
        if let loss {
            self = .unknown(loss)
        } else if let failure {
            // If an error ends the session, the session may have committed before it, and ended while it waited for a
            // standby. An error of class 08 from the server means that it lost another server, which may have
            // committed.
            self =
                failure.endsSession || failure.isConnectionException || replicationWarning != nil
                ? .unknown(failure) : .refused(failure)
        } else if let replicationWarning {
            self = .committedLocally(warning: replicationWarning)
        } else {
            self = .committed
        }
    }

    /// The error for the caller, or nil if the commit is proven.
    var error: PQError? {
        switch self {
        case .committed: nil
        case .committedLocally(let warning):
            PQError(
                .notReplicated,
                "PostgreSQL committed without its synchronous standbys, so a failover may lose it: \(warning)",
                isOutcomeUnknown: true)
        case .unknown(let error): error.withUnknownOutcome()
        case .refused(let error): error
        }
    }
}
