extension Connection {
    /// Whether a connection can be lent again.
    enum Availability {
        case reusable
        /// A commit continues although its caller has got an error already.
        case detached
        /// A transaction is open, an operation is in progress, or the server was lost.
        case unusable
    }

    /// Whether it can be lent again. Must be read on the reactor's thread.
    nonisolated var availability: Availability {
        assumeIsolated { $0.isDetached ? .detached : $0.isReusable ? .reusable : .unusable }
    }

    /// The state of the connection.
    ///
    /// - idle: no operation. Can become busy or closed.
    /// - busy: an operation whose caller gets a response by its deadline. Can become idle, cancelling, detached or
    ///   closed.
    /// - cancelling: the server was asked to cancel the operation and has a limited time to do it. The request is
    ///   repeated in this time, because the server ignores a request that arrives before its statement. Can become idle
    ///   or closed.
    /// - detached: a commit that continues after its caller got the error that the outcome is unknown. It continues
    ///   because cancelling it would only end its wait for standbys. Can become idle or closed.
    /// - closed: final.
    enum State: Equatable {
        case idle
        case busy(deadline: ContinuousClock.Instant, isCancellable: Bool)
        case cancelling(giveUpAt: ContinuousClock.Instant, retryAt: ContinuousClock.Instant)
        case detached(giveUpAt: ContinuousClock.Instant)
        case closed
    }
}
