internal import Ledger
internal import Logging
internal import PQ
internal import Synchronization

/// Ends the prepared transactions of servers that stopped before doing so.
extension ShardedLedger {
    /// The age from which a prepared transaction is settled by any server.
    ///
    /// A server takes some milliseconds from the first preparation to the decision. One that takes longer finds that
    /// it was decided otherwise.
    static let settledAfter: Duration = .seconds(2)
    static let settlementInterval: Duration = .seconds(1)
    /// The interval at which old decisions are deleted.
    static let forgettingInterval: Duration = .seconds(60)

    /// Settles the appends of servers that stopped, until the task is canceled.
    func runSettlement() async {
        var lastDeletion = ContinuousClock.now
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.settlementInterval) } catch { return }
            let forgets = lastDeletion.duration(to: .now) >= Self.forgettingInterval
            if forgets { lastDeletion = .now }
            await settlePreparedAppends(forgets: forgets)
        }
    }

    /// Ends the prepared transactions that are older than ``settledAfter``.
    ///
    /// - Parameter forgets: Whether old decisions are deleted afterwards.
    func settlePreparedAppends(forgets: Bool = false) async {
        let found = await Self.fanOut(shards, within: .seconds(10)) { (ledger) throws(StoreError) in
            try await ledger.preparedTransactions(olderThan: Self.settledAfter)
        }
        // The age of the oldest one that remains.
        var oldest: Duration?
        // The others do not wait for a shard that is unreachable.
        var unreachable: Set<Int> = []
        for case (let shard, .success(let transactions)) in found {
            for (name, age) in transactions {
                guard let append = PreparedAppend(name: name) else { continue }
                guard !unreachable.contains(append.decider) else {
                    oldest = max(oldest ?? age, age)
                    continue
                }
                do throws(StoreError) {
                    let commits = try await on(append.decider) { (ledger) throws(StoreError) in
                        try await ledger.refuseUnlessDecided(append)
                    }
                    try await on(shard) { (ledger) throws(StoreError) in
                        try await ledger.endPrepared(name, commits: commits)
                    }
                    // The worker did not notice events committed here.
                    await shards[shard]?.sweep()
                    logger.notice(
                        "settled a part of an append to several shards",
                        metadata: ["shard": "\(shard)", "append.committed": "\(commits)"])
                } catch {
                    oldest = max(oldest ?? age, age)
                    if error.code == .unavailable { unreachable.insert(append.decider) }
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
        // Prepared transactions younger than `settledAfter` were not listed; their decisions are too young to delete.
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
