public import Ledger
internal import PQ

/// Moves of jobs between shards.
extension ShardAdministration {
    /// A move that has ended.
    public struct Move: Hashable, Sendable {
        public var job: JobID
        /// The shard in which the job was; the target if nothing had to be moved.
        public var from: Int
        public var to: Int
        /// The last event that was moved; nil if nothing had to be moved.
        public var position: ChainPosition?
    }

    /// Moves a job to another shard.
    ///
    /// Its events, its projection and its pending notifications move with it. It can be repeated after a failure. If
    /// the program is killed at any moment, the job is in exactly one shard. A server settles what was prepared within
    /// 5 s; without a server, the next command does.
    ///
    /// - Throws: ``StoreError/Code/unknownJob``; ``StoreError/Code/conflict`` if the job was retired, is not folded, or
    ///   if a replay is in progress; ``StoreError/Code/severalShards`` if PostgreSQL prepares no transactions. The job
    ///   is where it was then. ``StoreError/Code/outcomeUnknown`` if it may have been moved.
    public func move(_ job: JobID, to number: Int) async throws(StoreError) -> Move {
        try await move(job, to: number, afterStep: { _ in })
    }

    func move(
        _ job: JobID, to number: Int, afterStep: @escaping @Sendable (JobMover.Step) async throws -> Void
    ) async throws(StoreError) -> Move {
        try await locked { () throws(StoreError) in
            try await requireShards(to: number)
            try await settleParts(in: number)
            guard let from = try await shard(of: job) else {
                throw StoreError(.unknownJob, "there is no job \(job)", jobs: [job])
            }
            guard from != number else { return Move(job: job, from: from, to: number) }
            guard let source = pools[from], let target = servicePools[number] else {
                throw StoreError(.schema, "shard \(number) is missing: give its connection string")
            }
            let mover = JobMover(
                job: job, source: (number: from, pool: source), target: (number: number, pool: target),
                afterStep: afterStep)
            do {
                return Move(job: job, from: from, to: number, position: try await mover.move())
            } catch { throw Self.refusal(error, job) }
        }
    }

    /// Checks that the number is that of a shard, and that all shards are given.
    private func requireShards(to number: Int) async throws(StoreError) {
        let states = try await states()
        guard let newest = states.values.max(by: { $0.version < $1.version }), states[number] != nil else {
            throw StoreError(.conflict, "database \(number) is not a shard: add it first")
        }
        for shard in ShardMap(versions: newest.versions).shards where pools[shard] == nil {
            throw StoreError(.schema, "shard \(shard) is missing: give its connection string")
        }
    }

    private func shard(of job: JobID) async throws(StoreError) -> Int? {
        for number in pools.keys.sorted() {
            let isHere = try await on(number) { (pool) throws(PQError) in
                try await ShardStore(pool: pool).trace(of: job).isHere
            }
            if isHere { return number }
        }
        return nil
    }

    /// The time to wait for the prepared transactions of others.
    private static let settlementMax: Duration = .seconds(5)

    /// Ends the prepared transactions of interrupted commands and servers in a shard.
    ///
    /// It would keep the move waiting. The younger transactions belong to programs that work.
    private func settleParts(in number: Int) async throws(StoreError) {
        guard let target = servicePools[number] else { return }
        let limit = ContinuousClock.now + Self.settlementMax
        while ContinuousClock.now < limit {
            let parts = try await on(number) { _ throws(PQError) in
                try await PreparedTransactions(pool: target).list(olderThan: .zero)
            }
            if parts.isEmpty { return }
            for part in parts where part.age >= ShardedLedger.settledAfter {
                guard let append = PreparedAppend(name: part.name), let decider = servicePools[append.decider] else {
                    continue
                }
                let commits = try await on(append.decider) { _ throws(PQError) in
                    try await PreparedTransactions(pool: decider).refuseUnlessDecided(append)
                }
                try await on(number) { _ throws(PQError) in
                    try await PreparedTransactions(pool: target).end(part.name, commits: commits)
                }
            }
            do { try await Task.sleep(for: .milliseconds(100)) } catch {
                throw StoreError(.closed, "the command was stopped")
            }
        }
    }

    private static func refusal(_ error: any Error, _ job: JobID) -> StoreError {
        switch error {
        case let error as StoreError: return error
        case let error as PQError where error.sqlState == .retirementRefused:
            return StoreError(.conflict, error.server?.message ?? error.message, jobs: [job], cause: error)
        case let error as PQError where error.sqlState == .objectNotInPrerequisiteState:
            return PostgresLedger.preparingIsDisabled(error)
        case let error as PQError where error.sqlState == .staleWrite || error.violates("shard_commit_pkey"):
            // A server has settled the prepared copy, because the decision took longer than it waits.
            return StoreError(.unavailable, "moving a job took too long", retryAfter: .seconds(1), cause: error)
        case let error as PQError: return StoreError(error, while: "moving a job")
        case Importer.Refusal.invalid(let reason), Importer.Refusal.conflict(let reason):
            return StoreError(.invalid, "job \(job) is not as it was recorded, so it stays where it is: \(reason)")
        default: return StoreError(.corrupt, "moving a job: \(error)", jobs: [job], cause: error)
        }
    }
}
