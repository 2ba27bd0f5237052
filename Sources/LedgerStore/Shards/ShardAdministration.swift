internal import Ledger
public import Logging
public import PQ

/// The owner's access to the shards of a divided ledger, for changing its map.
///
/// A change is recorded in all shards before it holds in one of them. If it is interrupted, ``resume()`` completes it;
/// until then no job with a key is created, and everything else goes on.
public struct ShardAdministration: Sendable {
    let pools: [Int: Pool]
    /// Connections with the role of the service.
    ///
    /// Its servers may have to end the transactions that are prepared with them.
    let servicePools: [Int: Pool]
    private let logger: Logger

    /// A shard, as ``list()`` shows it.
    public struct Shard: Hashable, Sendable {
        public var number: Int
        /// The database, without its secrets.
        public var target: String
        /// The number of slots of which it gets the new jobs.
        ///
        /// 0 after it was drained, or if it is not a shard yet.
        public var slots: Int
        /// The version of the map that it knows.
        ///
        /// `nil` if it is not a shard, or does not respond.
        public var version: Int64?
        /// Whether a change of the map must be resumed.
        public var isChanging: Bool
        /// Whether the database lacks the tables of shards.
        public var isUnmigrated = false
        /// Why it does not respond; nil if it does.
        public var fault: String?
    }

    private let targets: [Int: ConnectionTarget]

    /// - Parameter targets: The databases of all shards by their numbers, with logins that own the ledger.
    public init(_ targets: [Int: ConnectionTarget], logger: Logger) {
        self.targets = targets
        self.logger = logger
        pools = targets.mapValues { Self.pool($0, role: nil, logger) }
        servicePools = targets.mapValues { Self.pool($0, role: Guarantees.serviceRole, logger) }
    }

    private static func pool(_ target: ConnectionTarget, role: String?, _ logger: Logger) -> Pool {
        var settings = Pool.Settings()
        // The lock, a transaction, and a read beside it.
        settings.connectionsMax = 3
        settings.applicationName = "progress-ledger shards"
        settings.session = LedgerSession.requirements(
            // While one shard deletes a job, the transaction of the other one waits.
            role: role, statementTimeout: JobMover.deadline, idleTimeout: JobMover.deadline, lockTimeout: "60s")
        settings.session.isWritable = true
        return Pool(target: target, settings: settings, logger: logger)
    }

    /// Closes the connections.
    public func close() async {
        for pool in Array(pools.values) + Array(servicePools.values) { await pool.close() }
    }

    // MARK: Reading

    /// The shards, with those that do not respond.
    public func list() async -> [Shard] {
        var states: [Int: ShardStore.State] = [:]
        var faults: [Int: String] = [:]
        var unmigrated: Set<Int> = []
        for (number, pool) in pools {
            do throws(PQError) { states[number] = try await ShardStore(pool: pool).state() } catch {
                if error.isUnmigrated { unmigrated.insert(number) } else { faults[number] = error.description }
            }
        }
        let owners = states.values.max { $0.version < $1.version }?.versions.last?.owners ?? []
        return pools.keys.sorted().map { number in
            Shard(
                number: number, target: targets[number].map(\.description) ?? "",
                slots: owners.count { $0 == number }, version: states[number]?.version,
                isChanging: states[number]?.isChanging ?? false, isUnmigrated: unmigrated.contains(number),
                fault: faults[number])
        }
    }

    // MARK: Changes

    /// Makes databases shards, which get new jobs from then on.
    ///
    /// The first shards include shard 0, which alone may contain jobs already.
    ///
    /// - Throws: ``StoreError/Code/conflict`` if one is a shard already or contains jobs;
    ///   ``StoreError/Code/unavailable`` if one does not respond, before anything was changed.
    public func add(_ numbers: [Int]) async throws(StoreError) {
        try await change { (states) throws(StoreError) in
            for number in numbers where states[number] != nil {
                // A drained shard gets slots again.
                guard let present = states[number]?.versions.last, !present.owners.contains(number) else {
                    throw StoreError(.conflict, "database \(number) is a shard already")
                }
            }
            guard let present = states.values.max(by: { $0.version < $1.version })?.versions else {
                guard numbers.contains(0) else {
                    throw StoreError(.conflict, "the first shards must include shard 0")
                }
                try await requireNoService(numbers)
                let owners = ShardMap.owners(adding: numbers, to: nil)
                let first = ShardMap.Version(number: 1, owners: owners, since: .now)
                guard try await hasJobs(0) else { return ShardMap(versions: [first]) }
                let before = ShardMap.Version(
                    number: 0, owners: Array(repeating: 0, count: ShardMap.slotCount), since: .earliest)
                return ShardMap(versions: [before, first])
            }
            for number in numbers where states[number] == nil {
                guard try await !hasJobs(number) else {
                    throw StoreError(.conflict, "database \(number) contains jobs of another ledger")
                }
            }
            return Self.next(present, ShardMap.owners(adding: numbers, to: present.last?.owners))
        }
    }

    /// Gives the slots of a shard to the others.
    ///
    /// It gets no new jobs. Its jobs stay.
    ///
    /// - Throws: ``StoreError/Code/conflict`` if it has no slots, or is the only shard.
    public func drain(_ number: Int) async throws(StoreError) {
        try await change { (states) throws(StoreError) in
            guard let present = states[number]?.versions, let owners = present.last?.owners, owners.contains(number)
            else { throw StoreError(.conflict, "shard \(number) has no slots") }
            guard let rest = ShardMap.owners(draining: number, of: owners) else {
                throw StoreError(
                    .conflict, "shard \(number) is the only shard that takes new jobs: add another one first")
            }
            return Self.next(present, rest)
        }
    }

    /// Completes an interrupted change.
    public func resume() async throws(StoreError) { try await change { _ throws(StoreError) in nil } }

    private static func next(_ versions: [ShardMap.Version], _ owners: [Int]) -> ShardMap {
        let number = (versions.last?.number ?? 0) + 1
        return ShardMap(versions: versions + [ShardMap.Version(number: number, owners: owners, since: .now)])
    }

    private func hasJobs(_ number: Int) async throws(StoreError) -> Bool {
        try await on(number) { (pool) throws(PQError) in
            try await pool.query(Query("select exists (select from ledger.job)"))[0].decode(0)
        }
    }

    /// The time to wait for the sessions of a service that has just been stopped.
    private static let sessionsMax: Duration = .seconds(3)

    /// Checks that no server or worker uses these databases yet.
    ///
    /// It would not know that they are shards.
    ///
    /// - Throws: ``StoreError/Code/conflict`` if one does.
    private func requireNoService(_ numbers: [Int]) async throws(StoreError) {
        let limit = ContinuousClock.now + Self.sessionsMax
        for number in numbers {
            while true {
                let count = try await on(number) { (pool) throws(PQError) in
                    try await pool.query(
                        Query(
                            """
                            select count(*) from pg_stat_activity
                            where datname = current_database() and application_name like 'progress-ledger%'
                                and application_name not like 'progress-ledger shards%'
                            """))[0].decode(0, as: Int.self)
                }
                if count == 0 { break }
                guard ContinuousClock.now < limit else {
                    throw StoreError(
                        .conflict, "a server or worker still uses database \(number): stop all of them first")
                }
                do { try await Task.sleep(for: .milliseconds(100)) } catch {
                    throw StoreError(.closed, "the command was stopped")
                }
            }
        }
    }

    func on<R>(
        _ number: Int, _ body: (Pool) async throws(PQError) -> R
    ) async throws(StoreError) -> R {
        guard let pool = pools[number] else {
            throw StoreError(.schema, "shard \(number) is missing: give its connection string")
        }
        do throws(PQError) { return try await body(pool) } catch {
            guard !error.isUnmigrated else {
                throw StoreError(
                    .schema, "database \(number) is not migrated: run 'progress-ledger migrate --database …' for it",
                    cause: error)
            }
            throw StoreError(error, while: "changing the map").naming(shard: number)
        }
    }

    /// Changes the map, after completing an interrupted change.
    ///
    /// One command at a time changes it: a lock in shard 0 is held meanwhile.
    ///
    /// - Parameter plan: Returns the new map for the states of the shards; nil for no change.
    private func change(
        _ plan: ([Int: ShardStore.State]) async throws(StoreError) -> ShardMap?
    ) async throws(StoreError) {
        try await locked { () throws(StoreError) in try await changeLocked(plan) }
    }

    /// Runs the closure while no other command changes the shards.
    func locked<R>(_ body: () async throws(StoreError) -> R) async throws(StoreError) -> R {
        guard let first = pools[0] else { throw StoreError(.schema, "shard 0 is missing: give its connection string") }
        let result: Result<R, StoreError>
        do throws(PQError) {
            result = try await first.withConnection { lease throws(PQError) in
                let lock = "hashtextextended('ledger.shards', 0)"
                let locked = try await lease.query(Query("select pg_try_advisory_lock(\(lock))"))
                guard try locked[0].decode(0, as: Bool.self) else {
                    return .failure(
                        StoreError(.conflict, "another command is changing the shards: wait until it has ended"))
                }
                // The lock ends with the session, whatever happens.
                await lease.doNotReuse()
                do throws(StoreError) { return .success(try await body()) } catch { return .failure(error) }
            }
        } catch { throw StoreError(error, while: "changing the map").naming(shard: 0) }
        return try result.get()
    }

    private func changeLocked(
        _ plan: ([Int: ShardStore.State]) async throws(StoreError) -> ShardMap?
    ) async throws(StoreError) {
        let states = try await resumed(try await states())
        guard let map = try await plan(states) else { return }
        // All shards of all versions must be there, for an old one must refuse to create jobs with keys.
        for number in map.shards where pools[number] == nil {
            throw StoreError(.schema, "shard \(number) is missing: give its connection string")
        }
        let ledger = states.values.first?.ledger ?? Self.newLedger()
        try await write(map, of: ledger)
    }

    private static func newLedger() -> JobID {
        JobID(createdAt: .now, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max))
    }

    func states() async throws(StoreError) -> [Int: ShardStore.State] {
        var states: [Int: ShardStore.State] = [:]
        for number in pools.keys.sorted() {
            guard
                let state = try await on(
                    number, { (pool) throws(PQError) in try await ShardStore(pool: pool).state() })
            else { continue }
            guard state.number == number else {
                throw StoreError(.conflict, "database \(number) is shard \(state.number) of its ledger")
            }
            guard states.values.allSatisfy({ $0.ledger == state.ledger }) else {
                throw StoreError(.conflict, "database \(number) is a shard of another ledger")
            }
            states[number] = state
        }
        return states
    }

    /// Completes an interrupted change.
    ///
    /// One is interrupted if not all shards have the newest version, or if one still waits for the others.
    private func resumed(_ states: [Int: ShardStore.State]) async throws(StoreError) -> [Int: ShardStore.State] {
        guard let newest = states.values.max(by: { $0.version < $1.version }) else { return states }
        let map = ShardMap(versions: newest.versions)
        let isOpen = map.shards.contains { states[$0]?.version != newest.version || states[$0]?.isChanging ?? true }
        guard isOpen else { return states }
        logger.notice("completing a change of the shards", metadata: ["map.version": "\(newest.version)"])
        try await write(map, of: newest.ledger)
        return try await self.states()
    }

    /// Writes a map to all its shards, and then lets it hold.
    ///
    /// Shard 0 is the first, and decides: what it has is written to the others by ``resume()``.
    private func write(_ map: ShardMap, of ledger: JobID) async throws(StoreError) {
        let shards = ([0] + map.shards.filter { $0 != 0 })
        for number in shards {
            try await on(number) { (pool) throws(PQError) in
                try await ShardStore(pool: pool).begin(map, number: number, of: ledger)
            }
        }
        for number in shards {
            try await on(number) { (pool) throws(PQError) in
                try await ShardStore(pool: pool).finish(map.current.number)
            }
        }
    }
}

extension PQError {
    /// Whether the database lacks the tables of shards.
    fileprivate var isUnmigrated: Bool { sqlState == .undefinedTable || sqlState == .invalidSchemaName }
}
