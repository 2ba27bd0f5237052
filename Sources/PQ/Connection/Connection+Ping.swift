extension Connection {
    /// Pings the server from a separate connection.
    ///
    /// If the server does not respond, it is frozen or unreachable, and all connections to it are closed. The operation
    /// would otherwise wait for its deadline, and a commit much longer.
    func pingServer() {
        pingAt = nil
        let operation = operation
        let sentAt = ContinuousClock.now
        Connector.ping(pingTarget, timeout: pings.timeout) { isAnswering in
            Task(name: "pq-ping") { await self.pingFinished(isAnswering, sentAt: sentAt, of: operation) }
        }
    }

    private func pingFinished(_ isAnswering: Bool, sentAt: ContinuousClock.Instant, of operation: Int) {
        if isAnswering { heardAt = .now }
        // Nothing follows from an operation that ended by a response. One that failed may have failed for this reason.
        guard operation == self.operation, state != .idle || loss != nil else { return }
        if !isAnswering, group?.dropIfSilent(server, sentAt: sentAt, logger: logger) ?? true {
            return serverFellSilent()
        }
        guard loss == nil else { return }
        let next = ContinuousClock.now + pings.after
        pingAt = next
        reactor.deadlineChanged(to: next)
    }

    /// Fails the operation in progress, if there is one, and prevents further ones.
    func serverFellSilent() {
        markLost(PQError(.connectionLost, "PostgreSQL does not respond; the connection was closed"))
    }
}
