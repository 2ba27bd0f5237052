public import Ledger

/// The figures of all shards.
extension ShardedLedger {
    /// Reports the readiness of all shards.
    ///
    /// A shard that is away is a warning, because the server can still serve the jobs of the others.
    /// Only if no shard works, the server is not ready.
    public func readiness() async -> Readiness {
        let found = await Self.fanOut(shards, within: .seconds(5)) { (ledger) throws(StoreError) in
            await ledger.readiness()
        }
        var checks: [Readiness.Check] = []
        var works = false
        for (shard, result) in found {
            switch result {
            case .success(let readiness):
                works = works || readiness.isReady
                checks += readiness.checks.map { check in
                    var check = check
                    check.detail = "shard \(shard): \(check.detail)"
                    return check
                }
            case .failure(let error):
                checks.append(
                    Readiness.Check(name: "database", isPassed: false, detail: error.naming(shard: shard).message))
            }
        }
        if let warning = settlementWarning { checks.append(warning) }
        guard works else { return Readiness(checks: checks) }
        return Readiness(
            checks: checks.map { check in
                var check = check
                check.isWarning = check.isWarning || !check.isPassed
                check.isPassed = true
                return check
            })
    }

    public func status() async throws(StoreError) -> LedgerStatus {
        var merged: LedgerStatus?
        var states: [LedgerStatus.Shard] = []
        var failure: StoreError?
        let found = await Self.fanOut(shards, within: .seconds(10)) { (ledger) throws(StoreError) in
            try await ledger.status()
        }
        for (number, result) in found {
            let slots = map.current.owners.count { $0 == number }
            switch result {
            case .success(let status):
                states.append(LedgerStatus.Shard(number: number, slots: slots, lag: status.lag.jobs, fault: nil))
                merged = merged.map { Self.merged($0, status, number) } ?? Self.naming(status, number)
            case .failure(let error):
                states.append(LedgerStatus.Shard(number: number, slots: slots, lag: 0, fault: error.message))
                failure = error.naming(shard: number)
            }
        }
        guard var status = merged else {
            throw failure ?? StoreError(.unavailable, "no shard responds", retryAfter: .seconds(1))
        }
        status.shards = states
        return status
    }

    /// The status of a shard, with its number in every sentence.
    private static func naming(_ status: LedgerStatus, _ shard: Int) -> LedgerStatus {
        var status = status
        func named(_ texts: [String]) -> [String] { texts.map { "shard \(shard): \($0)" } }
        status.guaranteeFaults = named(status.guaranteeFaults)
        status.durabilityFaults = named(status.durabilityFaults)
        status.durabilityRemarks = named(status.durabilityRemarks)
        status.missingPartitions = status.missingPartitions.map { "\($0) of shard \(shard)" }
        status.tables = status.tables.map { table in
            var table = table
            table.table = "\(table.table) (shard \(shard))"
            return table
        }
        return status
    }

    /// Adds the figures of another shard.
    private static func merged(_ status: LedgerStatus, _ other: LedgerStatus, _ shard: Int) -> LedgerStatus {
        var merged = status
        let other = naming(other, shard)
        let listMax = LedgerStatus.listMax
        merged.lag.jobs += other.lag.jobs
        merged.lag.events += other.lag.events
        merged.lag.seconds = max(status.lag.seconds, other.lag.seconds)
        merged.lag.missingSnapshots += other.lag.missingSnapshots
        merged.lag.mostBehind = Array(
            (status.lag.mostBehind + other.lag.mostBehind).sorted { $0.seconds > $1.seconds }.prefix(listMax))
        merged.workers += other.workers
        merged.stuckJobs = Array((status.stuckJobs + other.stuckJobs).sorted { $0.since < $1.since }.prefix(listMax))
        merged.stuckJobCount += other.stuckJobCount
        merged.blocked = Array((status.blocked + other.blocked).prefix(LedgerStatus.blockedMax))
        merged.replay = status.replay ?? other.replay
        merged.unestimatedJobs = min(status.unestimatedJobs + other.unestimatedJobs, LedgerStatus.unestimatedMax)
        // All shards have the same subscriptions.
        merged.notifications.pending += other.notifications.pending
        merged.notifications.oldestSeconds = max(
            status.notifications.oldestSeconds, other.notifications.oldestSeconds)
        merged.vacuumHolders = Array(
            (status.vacuumHolders + other.vacuumHolders).sorted { $0.transactions > $1.transactions }.prefix(listMax))
        merged.tables += other.tables
        merged.guaranteeFaults += other.guaranteeFaults
        merged.durabilityFaults += other.durabilityFaults
        merged.durabilityRemarks += other.durabilityRemarks
        merged.missingPartitions += other.missingPartitions
        merged.appendFailure = status.appendFailure ?? other.appendFailure
        // The promise of the weakest database is shown.
        if let database = other.database, !(status.database?.survivesFailover ?? true) || !database.survivesFailover {
            merged.database = status.database?.survivesCrash ?? false ? database : status.database
        }
        return merged
    }

    /// The figures of every shard, with its number as a label.
    public func statistics() async -> [Statistic] {
        let found = await Self.fanOut(shards, within: .seconds(10)) { (ledger) throws(StoreError) in
            await ledger.statistics()
        }
        let all = found.flatMap { shard, result -> [Statistic] in
            let label = (name: "shard", value: String(shard))
            guard case .success(let statistics) = result else {
                return [
                    Statistic(
                        name: "progress_ledger_database_reachable", help: "Whether the database responds.",
                        kind: .gauge,
                        value: 0, labels: [label])
                ]
            }
            return statistics.map { statistic in
                var statistic = statistic
                statistic.labels.append(label)
                return statistic
            }
        }
        // The samples of a metric must follow each other.
        var names: [String: Int] = [:]
        for statistic in all where names[statistic.name] == nil { names[statistic.name] = names.count }
        return all.enumerated().sorted {
            (names[$0.element.name] ?? 0, $0.offset) < (names[$1.element.name] ?? 0, $1.offset)
        }.map(\.element)
    }

    // MARK: Tokens

    /// The tokens are in shard 0.
    public var tokens: TokenRegistry { first.tokens }

    public func createToken(
        _ request: AccessTokenRequest, by creator: Name?
    ) async throws(StoreError) -> (token: AccessToken, text: String) {
        try await on(0) { (ledger) throws(StoreError) in try await ledger.createToken(request, by: creator) }
    }

    public func listTokens(within confinement: Confinement) async throws(StoreError) -> [AccessToken] {
        try await on(0) { (ledger) throws(StoreError) in try await ledger.listTokens(within: confinement) }
    }

    public func revokeToken(
        _ id: AccessToken.ID, within confinement: Confinement
    ) async throws(StoreError) -> AccessToken? {
        try await on(0) { (ledger) throws(StoreError) in try await ledger.revokeToken(id, within: confinement) }
    }

    /// Reads the tokens into memory, as ``PostgresLedger/loadTokens()`` does.
    public func loadTokens() async throws(StoreError) {
        try await on(0) { (ledger) throws(StoreError) in try await ledger.loadTokens() }
    }
}
