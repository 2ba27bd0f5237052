internal import Ledger
internal import Logging
internal import PQ
internal import Synchronization

/// Appends to jobs of several shards, all or nothing.
extension ShardedLedger {
    /// The maximum number of such appends in progress.
    ///
    /// Each takes one of a shard's `max_prepared_transactions`.
    static let atomicAppendsMax = 4
    /// The age from which a prepared transaction is settled by any server.
    ///
    /// A server takes some milliseconds from the first preparation to the decision. One that takes longer finds that
    /// it was decided otherwise.
    static let settledAfter: Duration = .seconds(2)
    static let settlementInterval: Duration = .seconds(1)
    /// The interval at which old decisions are deleted.
    static let forgettingInterval: Duration = .seconds(60)

    /// Appends to jobs of several shards.
    ///
    /// Locks are taken from the highest shard to the lowest, and within a shard in the order of job ids, so that two
    /// servers cannot deadlock.
    ///
    /// - Parameter parts: The events of each shard.
    func appendAtomically(_ parts: [Int: AppendRequest]) async throws(StoreError) -> [JobID: ClosedRange<EventSequence>]
    {
        guard let decider = parts.keys.min() else { return [:] }
        guard
            atomicAppends.withLock({ count in
                guard count < Self.atomicAppendsMax else { return false }
                count += 1
                return true
            })
        else {
            throw StoreError(
                .overloaded, "too many requests with events of several shards are in progress; nothing was recorded",
                retryAfter: .seconds(1))
        }
        defer { atomicAppends.withLock { $0 -= 1 } }
        let id = JobID(createdAt: .now, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max))
        let append = PreparedAppend(id: id, decider: decider)
        var sequences: [JobID: ClosedRange<EventSequence>] = [:]
        var prepared: [Int] = []
        var mayBeDecided = false
        let planned = Mutex<[JobID: ClosedRange<EventSequence>]>([:])
        do throws(StoreError) {
            for shard in parts.keys.sorted(by: >) where shard != decider {
                guard let request = parts[shard] else { continue }
                // Also if its outcome is unknown it may be prepared.
                prepared.append(shard)
                let found = try await on(shard) { (ledger) throws(StoreError) in
                    try await ledger.prepare(request, as: append.name(in: shard))
                }
                sequences.merge(found) { $1 }
            }
            guard let request = parts[decider] else { return [:] }
            mayBeDecided = true
            let found = try await on(decider) { (ledger) throws(StoreError) in
                try await ledger.decide(append, request) { sequences in planned.withLock { $0 = sequences } }
            }
            sequences.merge(found) { $1 }
        } catch {
            guard mayBeDecided, try await isCommitted(append, after: error) else {
                for shard in prepared { await end(append, in: shard, commits: false) }
                throw error.code == .corrupt ? Self.tookTooLong(error) : error
            }
            sequences.merge(planned.withLock { $0 }) { $1 }
        }
        // The append is recorded, whatever happens now. A part that cannot be committed is committed by the settlement.
        for shard in prepared { await end(append, in: shard, commits: true) }
        for (shard, request) in parts { await shards[shard]?.eventsAppended(request.parts.map(\.job)) }
        return sequences
    }

    /// The error if another server has decided that the append is not recorded.
    private static func tookTooLong(_ error: StoreError) -> StoreError {
        guard let cause = error.cause as? PQError,
            cause.sqlState == .staleWrite || cause.violates("shard_commit_pkey")
        else { return error }
        return StoreError(
            .unavailable, "the append took too long; nothing was recorded", retryAfter: .seconds(1), cause: cause)
    }

    /// Whether an append that has failed is recorded nevertheless.
    ///
    /// Nothing else can decide it afterwards.
    private func isCommitted(_ append: PreparedAppend, after error: StoreError) async throws(StoreError) -> Bool {
        let mayHaveCommitted = (error.cause as? PQError)?.mayHaveCommitted ?? false
        guard mayHaveCommitted || [.outcomeUnknown, .corrupt, .closed].contains(error.code) else { return false }
        do throws(StoreError) {
            return try await on(append.decider) { (ledger) throws(StoreError) in try await ledger.settle(append) }
        } catch {
            throw StoreError(
                .outcomeUnknown, "it is not known yet whether the events were recorded: \(error.message)",
                retryAfter: .seconds(1), cause: error)
        }
    }

    /// Ends the part of an append in a shard, or leaves it to the settlement.
    private func end(_ append: PreparedAppend, in shard: Int, commits: Bool) async {
        do throws(StoreError) {
            try await on(shard) { (ledger) throws(StoreError) in
                try await ledger.endPrepared(append.name(in: shard), commits: commits)
            }
        } catch {
            logger.warning(
                "a part of an append stays prepared until its shard responds",
                metadata: ["shard": "\(shard)", "error": "\(error)"])
        }
    }

    // MARK: Settlement

    /// Settles the appends of servers that died, until the task is canceled.
    func settleAgainAndAgain() async {
        var forgotten = ContinuousClock.now
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.settlementInterval) } catch { return }
            let forgets = forgotten.duration(to: .now) >= Self.forgettingInterval
            if forgets { forgotten = .now }
            await settlePreparedAppends(forgets: forgets)
        }
    }

    /// Ends the prepared transactions that are older than ``settledAfter``.
    ///
    /// - Parameter forgets: Whether old decisions are deleted afterwards.
    func settlePreparedAppends(forgets: Bool = false) async {
        let found = await Self.fanOut(shards, within: .seconds(10)) { (ledger) throws(StoreError) in
            try await ledger.preparedParts(olderThan: Self.settledAfter)
        }
        // The age of the oldest one that remains.
        var oldest: Duration?
        // The others do not wait for a shard that is away.
        var away: Set<Int> = []
        for case (let shard, .success(let transactions)) in found {
            for (name, age) in transactions {
                guard let append = PreparedAppend(name: name) else { continue }
                guard !away.contains(append.decider) else {
                    oldest = max(oldest ?? age, age)
                    continue
                }
                do throws(StoreError) {
                    let commits = try await on(append.decider) { (ledger) throws(StoreError) in
                        try await ledger.settle(append)
                    }
                    try await on(shard) { (ledger) throws(StoreError) in
                        try await ledger.endPrepared(name, commits: commits)
                    }
                    await shards[shard]?.sweep()
                    logger.notice(
                        "settled a part of an append to several shards",
                        metadata: ["shard": "\(shard)", "append.committed": "\(commits)"])
                } catch {
                    oldest = max(oldest ?? age, age)
                    if error.code == .unavailable { away.insert(append.decider) }
                    if !Task.isCancelled {
                        logger.warning(
                            "cannot settle a part of an append yet",
                            metadata: ["shard": "\(shard)", "error": "\(error)"])
                    }
                }
            }
        }
        let since = oldest.map { ContinuousClock.now - $0 }
        unsettledSince.withLock { $0 = since }
        if forgets { await forgetDecisions(found.map(\.result)) }
    }

    /// A warning if a part of an append cannot be settled.
    ///
    /// Its deciding shard is away.
    var settlementWarning: Readiness.Check? {
        guard let oldest = unsettledSince.withLock({ $0 }) else { return nil }
        let age = oldest.duration(to: .now)
        return Readiness.Check(
            name: "settlement", isPassed: true, isWarning: true,
            detail:
                "an append to several shards has waited for \(Int(age / .seconds(1))) s for the shard that decides it")
    }

    /// Deletes decisions of which no prepared transaction is left in any shard.
    private func forgetDecisions(
        _ prepared: [Result<[(name: String, age: Duration)], StoreError>]
    ) async {
        // A shard that does not respond may have prepared transactions, and so may one that this server does not know,
        // because its file of shards is older than the map.
        guard map.shards.allSatisfy({ shards[$0] != nil }) else { return }
        guard prepared.allSatisfy({ if case .success(let found) = $0 { found.isEmpty } else { false } }) else { return }
        for (shard, ledger) in shards {
            do throws(StoreError) { try await ledger.forgetDecisions() } catch {
                if !Task.isCancelled {
                    logger.debug("decisions stay recorded", metadata: ["shard": "\(shard)", "error": "\(error)"])
                }
            }
        }
    }
}
