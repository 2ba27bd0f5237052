extension Connection {
    /// Maximum number of statements in one group.
    static let groupMax = 1_000

    /// Runs a group of statements in one round trip.
    ///
    /// The first statement that fails ends the group: later statements are skipped, and outside of a transaction,
    /// earlier ones are undone.
    ///
    /// - Parameter commits: Whether the end of the group commits; ``CommitOutcome`` decides. A commit of `.writing`
    ///   is never cancelled.
    func run(
        _ queries: [Query], by deadline: ContinuousClock.Instant, commits: Commits, respectsCancellation: Bool = true
    ) async throws(PQError) -> [Rows] {
        guard queries.count <= Self.groupMax else {
            throw PQError(.misuse, "\(queries.count) statements in one group; the maximum is \(Self.groupMax)")
        }
        for query in queries { try query.validate() }
        return try await perform(
            by: deadline, respectsCancellation: respectsCancellation && commits != .writing,
            isCancellable: commits != .writing
        ) {
            () async throws(PQError) -> [Rows] in
            let pending = try send(queries)
            countRoundTrip()
            let outcome = await collect(pending)
            guard !wasDetached else {
                throw PQError(
                    .deadlineExceeded, "PostgreSQL did not respond within the deadline; the commit continues",
                    isOutcomeUnknown: true)
            }
            let warning = session?.takeReplicationWarning()
            if let failure = outcome.failure { recordFailure(failure) }
            if outcome.isStale { try await deallocateStatements(by: deadline) }
            if commits == .nothing {
                if let failure = loss ?? outcome.failure { throw failure }
            } else {
                let commit = CommitOutcome(failure: outcome.failure, loss: loss, replicationWarning: warning)
                if let error = commit.error { throw error }
            }
            return outcome.rows
        }
    }

    /// The effect that the end of a group has on a transaction.
    enum Commits {
        /// It commits nothing: a transaction stays open.
        case nothing
        /// It commits a statement that may be cancelled; most such groups only read.
        case cancellable
        /// It commits a write. Cancelling would only end the wait for its standbys.
        ///
        /// It is therefore left to finish.
        case writing
    }

    /// A sent message that has no result yet, in order of sending.
    private enum Pending {
        case prepare(sql: String, name: String)
        case query
        case deallocate
    }

    private struct GroupResult {
        var rows: [Rows] = []
        var failure: PQError?
        var isStale = false
    }

    private func send(_ queries: [Query]) throws(PQError) -> [Pending] {
        guard let session else { throw loss ?? PQError(.connectionLost, "the connection was closed") }
        var pending: [Pending] = []
        var inThisGroup: [String: String] = [:]
        var isSent = true
        if !session.isInFailedTransaction {
            for name in evicted where isSent {
                isSent = session.send(Query("deallocate \(name)"), prepared: nil)
                pending.append(.deallocate)
            }
            evicted = []
        }
        for query in queries where isSent {
            guard query.isPrepared else {
                isSent = session.send(query, prepared: nil)
                pending.append(.query)
                continue
            }
            if let name = statements.name(of: query.sql) ?? inThisGroup[query.sql] {
                isSent = session.send(query, prepared: name)
            } else {
                let name = StatementCache.name(for: query)
                inThisGroup[query.sql] = name
                pending.append(.prepare(sql: query.sql, name: name))
                isSent = session.sendPrepare(name, query) && session.send(query, prepared: name)
            }
            pending.append(.query)
        }
        guard isSent, session.sync() else {
            let error = PQError(.connectionLost, "the connection to PostgreSQL was lost: \(session.errorText)")
            close()
            throw error
        }
        flush()
        return pending
    }

    private func collect(_ pending: [Pending]) async -> GroupResult {
        var outcome = GroupResult()
        var position = 0
        while loss == nil, let session {
            if session.isBusy {
                await suspend()
                if wasDetached { return outcome }
                continue
            }
            switch session.nextResult() {
            case .synced: return outcome
            case .end: position += 1
            case .skipped: break
            case .copyIn, .copyOut:
                // libpq would report the same state again and again.
                close(PQError(.misuse, "a COPY statement needs copyIn or copyOut; the connection was closed"))
            case .failure(let error):
                outcome.isStale = outcome.isStale || error.isStaleStatement
                outcome.failure = outcome.failure ?? error
            case .rows(let rows):
                guard position < pending.count else { break }
                switch pending[position] {
                case .query: outcome.rows.append(rows)
                case .prepare(let sql, let name): recordEvicted(statements.insert(sql, name: name))
                case .deallocate: break
                }
            }
        }
        return outcome
    }

    /// Records a statement to deallocate with the next group.
    private func recordEvicted(_ name: String?) {
        guard let name else { return }
        evicted.append(name)
    }

    /// Deallocates all prepared statements, because an object they use has changed.
    private func deallocateStatements(by deadline: ContinuousClock.Instant) async throws(PQError) {
        statements.removeAll()
        guard loss == nil, let session, session.isIdle else {
            // No statement can be deallocated in a failed transaction, and the names would stay in use.
            doNotReuse()
            return
        }
        guard session.send(Query("deallocate all"), prepared: nil), session.sync() else { return }
        flush()
        _ = await collect([.deallocate])
    }
}

extension Query {
    /// Refuses parameters that PostgreSQL's protocol or storage cannot hold.
    func validate() throws(PQError) {
        guard parameters.count <= Int(UInt16.max) else {
            throw PQError(.invalidParameter, "\(parameters.count) parameters; the maximum is 65535")
        }
        for (index, parameter) in parameters.enumerated() {
            guard let bytes = parameter.bytes else { continue }
            guard bytes.count < 1 << 30 else {
                throw PQError(
                    .invalidParameter, "parameter $\(index + 1) has \(bytes.count) bytes; the maximum is 1 GiB")
            }
            if parameter.type == .text || parameter.type == .jsonb, bytes.contains(0) {
                throw PQError(
                    .invalidParameter, "parameter $\(index + 1) contains U+0000, which PostgreSQL cannot store")
            }
        }
    }
}
