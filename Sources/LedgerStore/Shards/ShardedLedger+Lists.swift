internal import Glibc
public import Ledger
internal import Synchronization

/// Lists over all shards.
extension ShardedLedger {
    public func jobs(
        _ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) async throws(StoreError) -> [JobView] {
        try await jobList(filter, in: order, limit: limit, after: cursor).jobs
    }

    public func jobList(
        _ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) async throws(StoreError) -> JobList {
        if let key = filter.key {
            return JobList(jobs: try await jobs(key, filter, order, limit: limit, after: cursor))
        }
        if let job = filter.job {
            let found = try await route(job, isMissing: \.isEmpty) { (ledger) throws(StoreError) in
                try await ledger.jobs(filter, in: order, limit: limit, after: cursor)
            }
            return JobList(jobs: found)
        }
        let found = try await onPresent { (ledger) throws(StoreError) in
            try await ledger.jobs(filter, in: order, limit: limit, after: cursor)
        }
        var seen: Set<JobID> = []
        // A job that is moved meanwhile may be read in both shards.
        let merged = found.values.joined().sorted { order == .newest ? $0.id > $1.id : $0.id < $1.id }
            .filter { seen.insert($0.id).inserted }
        return JobList(jobs: Array(merged.prefix(limit)), missingShards: found.missing)
    }

    public func countJobs(_ filter: JobFilter) async throws(StoreError) -> JobCountsByState {
        let found = try await onPresent { (ledger) throws(StoreError) in try await ledger.countJobs(filter) }
        var sum = JobCountsByState()
        for state in JobState.allCases {
            let parts = found.values
            sum.set(
                state, parts.reduce(0) { $0 + $1[state] },
                isIncomplete: !found.missing.isEmpty || parts.contains { $0.incomplete.contains(state) })
        }
        return sum
    }

    /// The job with a key, if it matches the filter.
    private func jobs(
        _ key: Name, _ filter: JobFilter, _ order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) async throws(StoreError) -> [JobView] {
        for shard in map.owners(of: key) {
            guard let holder = try await on(shard, { (ledger) throws(StoreError) in try await ledger.holder(of: key) })
            else { continue }
            return try await route(holder, isMissing: \.isEmpty) { (ledger) throws(StoreError) in
                try await ledger.jobs(filter, in: order, limit: limit, after: cursor)
            }
        }
        return []
    }

    public func tags(of ids: [JobID]) async throws(StoreError) -> [JobID: [Name: Name]] {
        let (found, failure) = try await lookUp(ids) { (ledger, ids) throws(StoreError) in
            try await ledger.tags(of: ids)
        }
        if let failure { throw failure }
        return found
    }

    /// Returns the jobs in the shards that respond.
    ///
    /// Watchers of other jobs must not wait for them.
    public func jobs(_ ids: [JobID]) async throws(StoreError) -> [JobView] {
        let (found, failure) = try await lookUp(ids) { (ledger, ids) throws(StoreError) -> [JobID: JobView] in
            Dictionary(try await ledger.jobs(ids).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        }
        if let failure, found.isEmpty { throw failure }
        return Array(found.values)
    }

    /// Looks several jobs up, each in its shard.
    ///
    /// Jobs that are not there are looked up in the other shards that may have them.
    ///
    /// - Returns: What was found, and the last failure.
    private func lookUp<R: Sendable>(
        _ ids: [JobID],
        _ body: @escaping @Sendable (PostgresLedger, [JobID]) async throws(StoreError) -> [JobID: R]
    ) async throws(StoreError) -> (found: [JobID: R], failure: StoreError?) {
        let map = map
        var found: [JobID: R] = [:]
        var failure: StoreError?
        var failed: Set<JobID> = []
        var rest: [JobID: [Int]] = [:]
        for id in ids {
            let first = location(of: id)
            rest[id] = [first] + map.owners(of: id).filter { $0 != first }
        }
        while !rest.isEmpty {
            var groups: [Int: [JobID]] = [:]
            for (id, owners) in rest { groups[owners[0], default: []].append(id) }
            var asked: [Int: PostgresLedger] = [:]
            var jobs: [ObjectIdentifier: [JobID]] = [:]
            for (shard, ids) in groups {
                let ledger = try ledger(shard)
                asked[shard] = ledger
                jobs[ObjectIdentifier(ledger)] = ids
            }
            let idsOfLedgers = jobs
            let answers = await Self.fanOut(asked, within: Self.fanOutMax) { (ledger) throws(StoreError) in
                try await body(ledger, idsOfLedgers[ObjectIdentifier(ledger)] ?? [])
            }
            for (shard, result) in answers {
                switch result {
                case .success(let answer):
                    found.merge(answer) { first, _ in first }
                    for id in groups[shard] ?? [] {
                        let others = answer[id] == nil ? Array((rest[id] ?? []).dropFirst()) : []
                        rest[id] = others.isEmpty ? nil : others
                    }
                case .failure(let error):
                    failure = error.naming(shard: shard)
                    for id in groups[shard] ?? [] {
                        rest[id] = nil
                        failed.insert(id)
                    }
                }
            }
        }
        // The others do not exist, or were moved.
        for id in ids where found[id] == nil && !failed.contains(id) {
            do throws(StoreError) {
                guard let shard = try await find(id, besides: location(of: id)) else { continue }
                let answer = try await on(shard) { (ledger) throws(StoreError) in try await body(ledger, [id]) }
                found.merge(answer) { first, _ in first }
            } catch { failure = error }
        }
        return (found, failure)
    }

    public func heads(after cursor: JobID?, limit: Int) async throws(StoreError) -> [LedgerHead] {
        let found = try await onAll { (ledger) throws(StoreError) in
            try await ledger.heads(after: cursor, limit: limit)
        }
        var seen: Set<JobID> = []
        // A job that is moved meanwhile may be read in both shards.
        let sorted = found.flatMap(\.value).sorted {
            ($0.job, $1.position?.sequence ?? .start) < ($1.job, $0.position?.sequence ?? .start)
        }
        return Array(sorted.filter { seen.insert($0.job).inserted }.prefix(limit))
    }

    public func observeSnapshots(_ body: @escaping @Sendable (SnapshotHint) -> Void) -> SnapshotSubscription {
        let subscriptions = Mutex(shards.values.map { $0.observeSnapshots(body) })
        return SnapshotSubscription { subscriptions.withLock { $0 = [] } }
    }

    public func trackRecord(of name: Name, within confinement: Confinement) async throws(StoreError) -> TrackRecord {
        let found = try await onAll { (ledger) throws(StoreError) in
            try await ledger.trackRecord(of: name, within: confinement)
        }
        return TrackRecord.merged(found.map(\.value))
    }
}

extension TrackRecord {
    /// The record of the jobs of several shards.
    ///
    /// Counts and means are exact. The factors are geometric means of those of the shards, weighted by their jobs.
    static func merged(_ records: [TrackRecord]) -> TrackRecord {
        func mean(_ value: (TrackRecord) -> Double?) -> Double? {
            let parts = records.compactMap { record in value(record).map { (value: $0, weight: Double(record.jobs)) } }
            let weight = parts.reduce(0) { $0 + $1.weight }
            return weight > 0 ? parts.reduce(0) { $0 + $1.value * $1.weight } / weight : nil
        }
        func geometricMean(_ value: (TrackRecord) -> Double?) -> Double? {
            mean { value($0).map { log($0) } }.map { exp($0) }
        }
        return TrackRecord(
            jobs: records.reduce(0) { $0 + $1.jobs }, endedInside: records.reduce(0) { $0 + $1.endedInside },
            errorFactorP50: geometricMean(\.errorFactorP50), errorFactorP90: geometricMean(\.errorFactorP90),
            coverageP10: mean(\.coverageP10), coverageP90: mean(\.coverageP90))
    }
}
