/// What the response to a group of statements that ends with a commit proves.
///
/// Every commit is judged here and nowhere else: it is acknowledged only if PostgreSQL reported success and no warning
/// that its synchronous standbys are missing.
enum CommitProof {
    /// Durable, on the standbys too if PostgreSQL waits for any.
    case committed
    /// Committed on this server. The wait for its standbys was cancelled, so a failover may lose it.
    case committedLocally(warning: String)
    /// The connection broke before a response: it may be committed or not.
    case unknown(PQError)
    /// The server refused a statement, so nothing was committed.
    case refused(PQError)

    /// - Parameters:
    ///   - failure: The first error that the server sent for a statement of the group.
    ///   - loss: Why the connection can no longer be used, if it was lost before the end of the group.
    ///   - replicationWarning: The warning that the server stopped waiting for its standbys.
    init(failure: PQError?, loss: PQError?, replicationWarning: String?) {
        if let loss {
            self = .unknown(loss)
        } else if let failure {
            // A session that ends with an error may have committed before it: it then ends while it waits for a standby.
            // An error of class 08 from the server means that it lost another server, which may have committed.
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
