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
                // Recorded before the call: a preparation with an unknown outcome must be ended too.
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
            // If the outcome cannot be determined, this throws, and the settlement ends the prepared parts.
            guard mayBeDecided, try await decideOutcome(of: append, after: error) else {
                for shard in prepared { await end(append, in: shard, commits: false) }
                // A refused decision has the code `.corrupt`: see `tookTooLong`.
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

    /// Returns whether a failed append is recorded.
    ///
    /// If it is undecided, this call decides that it is not recorded.
    private func decideOutcome(
        of append: PreparedAppend, after error: StoreError
    ) async throws(StoreError) -> Bool {
        let mayHaveCommitted = (error.cause as? PQError)?.mayHaveCommitted ?? false
        guard mayHaveCommitted || [.outcomeUnknown, .corrupt, .closed].contains(error.code) else { return false }
        do throws(StoreError) {
            return try await on(append.decider) { (ledger) throws(StoreError) in
                try await ledger.refuseUnlessDecided(append)
            }
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
}
