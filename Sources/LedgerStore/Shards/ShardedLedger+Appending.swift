public import Ledger

/// Appends.
extension ShardedLedger {
    public func append(_ drafts: [EventDraft], to job: JobID) async throws(StoreError) -> ClosedRange<EventSequence> {
        try await withCheckedContinuation { continuation in
            append(drafts, to: job) { continuation.resume(returning: $0) }
        }.get()
    }

    public func append(
        _ drafts: [EventDraft], to job: JobID,
        whenDone: @escaping @Sendable (Result<ClosedRange<EventSequence>, StoreError>) -> Void
    ) {
        let first = location(of: job)
        let ledger: PostgresLedger
        do throws(StoreError) { ledger = try self.ledger(first) } catch { return whenDone(.failure(error)) }
        ledger.append(drafts, to: job) { [self] result in
            guard case .failure(let error) = result else {
                confirm(job, in: first)
                return whenDone(result)
            }
            guard error.code == .unknownJob else { return whenDone(.failure(error.naming(shard: first))) }
            // Nothing was recorded there.
            Task(name: "shard-append") {
                do throws(StoreError) {
                    guard let other = try await find(job, besides: first) else { return whenDone(.failure(error)) }
                    try self.ledger(other).append(drafts, to: job) {
                        whenDone($0.mapError { $0.naming(shard: other) })
                    }
                } catch { whenDone(.failure(error)) }
            }
        }
    }

    public func append(
        _ drafts: [EventDraft], to job: JobID, unlessCanceledWithin deadline: Duration
    ) async throws(StoreError) -> ClosedRange<EventSequence> {
        try await route(job, isMissing: { _ in false }) { (ledger) throws(StoreError) in
            try await ledger.append(drafts, to: job, unlessCanceledWithin: deadline)
        }
    }

    public func append(
        _ entries: [(job: JobID, draft: EventDraft)]
    ) async throws(StoreError) -> [(job: JobID, sequences: ClosedRange<EventSequence>)] {
        let jobs = Set(entries.map(\.job))
        // Jobs may be elsewhere than was known. Each attempt finds those of at least one more shard.
        for _ in shards {
            do throws(StoreError) { return try await appendLocated(entries) } catch {
                guard error.code == .unknownJob else { throw error }
                var isFound = false
                for job in error.jobs where jobs.contains(job) {
                    if try await find(job, besides: location(of: job)) != nil { isFound = true }
                }
                guard isFound else { throw error }
            }
        }
        return try await appendLocated(entries)
    }

    private func appendLocated(
        _ entries: [(job: JobID, draft: EventDraft)]
    ) async throws(StoreError) -> [(job: JobID, sequences: ClosedRange<EventSequence>)] {
        let parts = Dictionary(grouping: entries, by: { location(of: $0.job) })
        guard parts.count > 1 else {
            guard let shard = parts.keys.first else { return [] }
            return try await on(shard) { (ledger) throws(StoreError) in try await ledger.append(entries) }
        }
        let sequences = try await appendAtomically(parts.mapValues(AppendRequest.init(entries:)))
        var seen: Set<JobID> = []
        return entries.compactMap { entry in
            guard seen.insert(entry.job).inserted, let found = sequences[entry.job] else { return nil }
            return (entry.job, found)
        }
    }
}
