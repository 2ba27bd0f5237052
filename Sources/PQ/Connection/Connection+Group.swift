extension Connection {
    /// The most statements in one group.
    static let groupMax = 1_000

    /// Runs statements in one round trip. The first that fails ends the group: those after it are skipped, and,
    /// outside of a transaction, those before it are undone.
    ///
    /// - Parameter commits: Whether the end of the group commits; its outcome is then decided by ``CommitProof``. A commit
    ///   of `.writing` is never cancelled.
    func run(
        _ queries: [Query], by deadline: ContinuousClock.Instant, commits: Commits, heedsCancellation: Bool = true
    ) async throws(PQError) -> [Rows] {
        guard queries.count <= Self.groupMax else {
            throw PQError(.misuse, "\(queries.count) statements in one group; \(Self.groupMax) are the most")
        }
        for query in queries { try query.check() }
        return try await perform(
            by: deadline, heedsCancellation: heedsCancellation && commits != .writing,
            isCancellable: commits != .writing
        ) {
            () async throws(PQError) -> [Rows] in
            let pending = try send(queries)
            countRoundTrip()
            let outcome = await collect(pending)
            guard !isCutOff else {
                throw PQError(
                    .deadlineExceeded, "PostgreSQL did not answer within the deadline; the commit goes on",
                    isOutcomeUnknown: true)
            }
            let warning = session?.takeReplicationWarning()
            if let failure = outcome.failure { noteFailure(failure) }
            if outcome.isStale { try await forgetStatements(by: deadline) }
            if commits == .nothing {
                if let failure = loss ?? outcome.failure { throw failure }
            } else {
                let proof = CommitProof(failure: outcome.failure, loss: loss, replicationWarning: warning)
                if let error = proof.error { throw error }
            }
            return outcome.rows
        }
    }

    /// What the end of a group commits.
    enum Commits {
        /// Nothing: a transaction stays open.
        case nothing
        /// A statement that may be cancelled; most such groups only read.
        case cancellable
        /// A write. Cancelling it would end the wait for its standbys only, so it is left to finish.
        case writing
    }

    /// What was sent and is to be answered, in order.
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
                if isCutOff { return outcome }
                continue
            }
            switch session.nextResult() {
            case .synced: return outcome
            case .end: position += 1
            case .skipped: break
            case .copyIn, .copyOut:
                outcome.failure = outcome.failure ?? PQError(.misuse, "COPY has functions of its own")
            case .failure(let error):
                outcome.isStale = outcome.isStale || error.isStaleStatement
                outcome.failure = outcome.failure ?? error
            case .rows(let rows):
                guard position < pending.count else { break }
                switch pending[position] {
                case .query: outcome.rows.append(rows)
                case .prepare(let sql, let name): noteEvicted(statements.insert(sql, name: name))
                case .deallocate: break
                }
            }
        }
        return outcome
    }

    /// A statement that gave way to another is dropped by the server as well, with the next group.
    private func noteEvicted(_ name: String?) {
        guard let name else { return }
        evicted.append(name)
    }

    /// Has the server drop all prepared statements: what one refers to has changed.
    private func forgetStatements(by deadline: ContinuousClock.Instant) async throws(PQError) {
        statements.removeAll()
        guard loss == nil, let session, session.isIdle else {
            // In a failed transaction nothing can be dropped, and the names would be taken.
            doNotReuse()
            return
        }
        guard session.send(Query("deallocate all"), prepared: nil), session.sync() else { return }
        flush()
        _ = await collect([.deallocate])
    }
}

extension Query {
    /// Refuses what PostgreSQL's protocol cannot carry.
    func check() throws(PQError) {
        guard parameters.count <= Int(UInt16.max) else {
            throw PQError(.invalidParameter, "\(parameters.count) parameters; 65535 are the most")
        }
        for (index, parameter) in parameters.enumerated() {
            guard let bytes = parameter.bytes else { continue }
            guard bytes.count < 1 << 30 else {
                throw PQError(.invalidParameter, "parameter $\(index + 1) has \(bytes.count) bytes; 1 GiB is the most")
            }
            if parameter.type == .text || parameter.type == .jsonb, bytes.contains(0) {
                throw PQError(
                    .invalidParameter, "parameter $\(index + 1) contains U+0000, which PostgreSQL cannot store")
            }
        }
    }
}
