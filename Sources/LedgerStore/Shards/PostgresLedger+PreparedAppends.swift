internal import Ledger
internal import PQ

/// A shard's part in appends to several shards.
extension PostgresLedger {
    /// Plans an append with locked heads.
    private static func plan(
        _ request: AppendRequest, _ transaction: inout Transaction
    ) async throws(PQError) -> Result<(GroupCommitPlan, [JobID: ClosedRange<EventSequence>]), StoreError> {
        let jobs = request.parts.map(\.job).sorted()
        let rows = try await transaction.query(GroupCommitWriter.lockHeads(jobs))
        let (heads, clock) = try GroupCommitWriter.decode(rows)
        let plan = await GroupCommitWriter.plan([request], heads: heads, clock: clock)
        switch plan.results[0] {
        case .failure(let error): return .failure(error)
        case .success(let spans):
            return .success(
                (plan, Dictionary(spans.map { ($0.job, $0.sequences) }, uniquingKeysWith: { first, _ in first })))
        }
    }

    /// Writes a part of an append and prepares its transaction.
    func prepare(_ request: AppendRequest, as name: String) async throws(StoreError) -> [JobID: ClosedRange<
        EventSequence
    >] {
        let result: Result<[JobID: ClosedRange<EventSequence>], StoreError>
        do throws(PQError) {
            result = try await appendPool.withTransaction { transaction throws(PQError) in
                switch try await Self.plan(request, &transaction) {
                case .failure(let error): return .failure(error)
                case .success(let (plan, sequences)):
                    let rows = try await transaction.prepare(as: name, after: plan.statementsForLockedHeads)
                    try GroupCommitWriter.check(rows.first?.affectedRows ?? 0, plan)
                    return .success(sequences)
                }
            }
        } catch {
            guard error.sqlState != .objectNotInPrerequisiteState else { throw Self.preparingIsDisabled(error) }
            throw StoreError(error, while: "appending events to several shards")
        }
        return try result.get()
    }

    static func preparingIsDisabled(_ error: PQError) -> StoreError {
        StoreError(
            .severalShards,
            "it needs several shards, and PostgreSQL's setting max_prepared_transactions is 0 in one of them: set it to 10 "
                + "or more in each shard, or send a request for each job",
            cause: error)
    }

    /// Writes the last part of an append with the decision to commit all parts.
    ///
    /// - Parameter planned: Receives the sequences before the commit, which may end without a response.
    func decide(
        _ append: PreparedAppend, _ request: AppendRequest,
        planned: @Sendable ([JobID: ClosedRange<EventSequence>]) -> Void
    ) async throws(StoreError) -> [JobID: ClosedRange<EventSequence>] {
        let result: Result<[JobID: ClosedRange<EventSequence>], StoreError>
        result = try await attempting("appending events to several shards") { () throws(PQError) in
            try await appendPool.withTransaction { transaction throws(PQError) in
                switch try await Self.plan(request, &transaction) {
                case .failure(let error): return .failure(error)
                case .success(let (plan, sequences)):
                    planned(sequences)
                    let rows = try await transaction.commit(
                        after: plan.statementsForLockedHeads + [PreparedAppendStatements.commit(append)])
                    try GroupCommitWriter.check(rows.first?.affectedRows ?? 0, plan)
                    appender.acknowledged.acknowledge(plan.newHeads)
                    return .success(sequences)
                }
            }
        }
        return try result.get()
    }

    /// Decides not to commit an append, unless it is decided.
    ///
    /// - Returns: Whether the append is committed. The decision is durable.
    func refuseUnlessDecided(_ append: PreparedAppend) async throws(StoreError) -> Bool {
        try await attempting("settling an append to several shards") { () throws(PQError) in
            try await PreparedTransactions(pool: appendPool).refuseUnlessDecided(append)
        }
    }

    /// Ends a prepared transaction; nothing happens if it has ended.
    func endPrepared(_ name: String, commits: Bool) async throws(StoreError) {
        try await attempting("ending a prepared append") { () throws(PQError) in
            try await PreparedTransactions(pool: appendPool).end(name, commits: commits)
        }
    }

    /// The prepared transactions of appends, with their ages.
    func preparedTransactions(olderThan age: Duration) async throws(StoreError) -> [(name: String, age: Duration)] {
        try await attempting("reading prepared appends") { () throws(PQError) in
            try await PreparedTransactions(pool: pool).list(olderThan: age)
        }
    }

    /// Deletes old decisions. Call it only if no shard has a prepared append.
    func forgetDecisions() async throws(StoreError) {
        _ = try await attempting("forgetting decisions") { () throws(PQError) in
            try await appendPool.query(PreparedAppendStatements.forget)
        }
    }

    /// Makes the worker look for jobs that are behind.
    func sweep() async { projectionQueue.requestSweep() }
}
