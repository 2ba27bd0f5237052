public import Ledger

/// The reads that a standby may serve.
///
/// They concern the past of a job, its chain, and the events of a job that has ended.
extension PostgresLedger {
    public func job(_ id: JobID, counting policy: CountingPolicy) async throws(StoreError) -> JobView? {
        // Only this policy folds all events. The others read the snapshot.
        guard policy == .lastSuccessful else { return try await currentJob(id, counting: policy) }
        return try await reading(id) { (ledger) throws(StoreError) in
            try await ledger.currentJob(id, counting: policy)
        }
    }

    public func job(
        _ id: JobID, at moment: PointInTime, counting policy: CountingPolicy
    ) async throws(StoreError) -> JobView? {
        try await reading(id) { (ledger) throws(StoreError) in
            try await ledger.pastJob(id, at: moment, counting: policy)
        }
    }

    public func explain(
        _ job: JobID, _ label: Name?, at moment: PointInTime?, counting policy: CountingPolicy, onlyUncounted: Bool,
        limit: Int, after cursor: Explanation.Cursor?
    ) async throws(StoreError) -> ExplanationResult {
        if moment == nil, policy == .last {
            return try await explanation(
                of: job, label, at: moment, counting: policy, onlyUncounted: onlyUncounted, limit: limit, after: cursor)
        }
        return try await reading(job) { (ledger) throws(StoreError) in
            try await ledger.explanation(
                of: job, label, at: moment, counting: policy, onlyUncounted: onlyUncounted, limit: limit, after: cursor)
        }
    }

    public func difference(
        _ job: JobID, from: PointInTime, to: PointInTime?, counting policy: CountingPolicy, limit: Int
    ) async throws(StoreError) -> SnapshotDiff? {
        try await reading(job) { (ledger) throws(StoreError) in
            try await ledger.pastDifference(job, from: from, to: to, counting: policy, limit: limit)
        }
    }

    public func history(_ job: JobID, _ label: Name?, points: Int) async throws(StoreError) -> HistoryResult {
        try await reading(job) { (ledger) throws(StoreError) in
            try await ledger.pastHistory(job, label, points: points)
        }
    }

    public func verify(_ job: JobID, _ range: Verification.Range) async throws(StoreError) -> Verification? {
        try await reading(job) { (ledger) throws(StoreError) in try await ledger.verification(of: job, range) }
    }

    public func excerpt(
        _ job: JobID, after sequence: EventSequence, limit: Int
    ) async throws(StoreError) -> LedgerExcerpt? {
        try await reading(job) { (ledger) throws(StoreError) in
            try await ledger.excerpt(of: job, after: sequence, limit: limit)
        }
    }

    public func events(
        _ job: JobID, _ filter: EventFilter, after: EventSequence?, limit: Int
    ) async throws(StoreError) -> EventPage? {
        try await reading(job, onlyIfEnded: true) { (ledger) throws(StoreError) in
            try await ledger.eventPage(job, filter, after: after, limit: limit)
        }
    }

    /// Runs a read on the standby if it can serve it, else on the primary.
    func reading<R>(
        _ job: JobID, onlyIfEnded: Bool = false, _ body: (PostgresLedger) async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        guard let replica, let copy = await replica.ledger(for: job, onlyIfEnded: onlyIfEnded) else {
            return try await body(self)
        }
        do throws(StoreError) {
            return try await body(copy)
        } catch {
            // These say something about the standby, not about the job.
            guard [.unavailable, .outcomeUnknown, .schema, .closed, .corrupt].contains(error.code) else { throw error }
            replica.avoid(error.message)
            return try await body(self)
        }
    }
}

extension PostgresLedger {
    /// The figures of the standby; zeros without one.
    static func statistics(of replica: LedgerStatus.ReadReplica?) -> [Statistic] {
        func statistic(_ name: String, _ help: String, _ kind: Statistic.Kind, _ value: Double) -> Statistic {
            Statistic(name: "progress_ledger_read_replica_\(name)", help: help, kind: kind, value: value)
        }
        let isServing = replica.map { $0.fault == nil } ?? false
        return [
            statistic("up", "Whether a standby serves reads of the past.", .gauge, isServing ? 1 : 0),
            statistic(
                "lag_seconds", "Age of the last transaction that the standby has replayed; 0 if it has replayed all.",
                .gauge, replica?.lagSeconds ?? 0),
            statistic(
                "lag_bytes", "Bytes of the primary's log that the standby has not replayed.", .gauge,
                Double(replica?.lagBytes ?? 0)),
            statistic("reads_total", "Reads that the standby has served.", .counter, Double(replica?.reads ?? 0)),
            statistic(
                "fallbacks_total", "Reads that the primary served because the standby lagged or failed.", .counter,
                Double(replica?.fallbacks ?? 0)),
        ]
    }
}
