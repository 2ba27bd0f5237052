internal import AsyncPrimitives
internal import Ledger
public import Logging
internal import PQ
public import ServiceLifecycle
internal import Synchronization

/// A ledger that is divided among several databases, its shards.
///
/// Each shard is a whole ``PostgresLedger``. A request about a job goes to the shard of the job, which follows from its
/// id by the ``ShardMap``: it takes no more round trips than with one database. Lists and figures of the whole ledger
/// are merged. If a shard is away, requests about its jobs fail, and no others.
public final class ShardedLedger: LedgerService, Service {
    /// The interval at which the map is read again.
    private static let mapInterval: Duration = .seconds(2)
    /// The maximum number of remembered locations of jobs.
    ///
    /// The id of a job alone does not determine its shard if the map has several versions.
    private static let locationsMax = 100_000

    /// The shards by their numbers.
    let shards: [Int: PostgresLedger]
    /// The shard with the tokens, and with the jobs from before the division.
    let first: PostgresLedger
    let logger: Logger
    private let state: Mutex<MapState>
    private let locations = Mutex(BoundedCache<JobID, Int>(costMax: locationsMax))
    /// The shards that did not answer, until when they are left out of lists.
    let away = Mutex<[Int: ContinuousClock.Instant]>([:])
    /// The time since which a prepared transaction waits; nil if all are settled.
    let unsettledSince = Mutex<ContinuousClock.Instant?>(nil)
    /// The number of appends to several shards in progress.
    let atomicAppends = Mutex(0)

    private struct MapState {
        var map: ShardMap
        /// Whether jobs were moved between shards.
        var hasMovedJobs: Bool
        /// The divided ledger, which all shards must be part of.
        let ledger: JobID
    }

    /// Creates a ledger of these shards.
    ///
    /// - Parameter shards: All shards by their numbers, with shard 0.
    /// - Throws: ``StoreError/Code/schema`` if the databases are not shards of one ledger, or if one is missing.
    public static func open(_ shards: [Int: PostgresLedger], logger: Logger) async throws(StoreError) -> ShardedLedger {
        guard let first = shards[0] else {
            throw StoreError(.schema, "shard 0 is missing: it contains the tokens of the ledger")
        }
        let found = try await read(shards, logger: logger)
        let missing = found.map.shards.filter { shards[$0] == nil }
        guard missing.isEmpty else {
            throw StoreError(
                .schema, "the map of the ledger has shard \(missing[0]), for which no connection string is given")
        }
        return ShardedLedger(shards, first, found, logger)
    }

    private init(
        _ shards: [Int: PostgresLedger], _ first: PostgresLedger, _ found: MapState, _ logger: Logger
    ) {
        self.shards = shards
        self.first = first
        self.logger = logger
        state = Mutex(found)
        for (number, shard) in shards {
            let parent = replayParent(of: number)
            shard.replayParent.withLock { $0 = parent }
        }
    }

    /// The present map.
    public var map: ShardMap { state.withLock { $0.map } }

    /// Whether jobs were moved between shards.
    private var hasMovedJobs: Bool { state.withLock { $0.hasMovedJobs } }

    /// Runs the shards, rereads the map and settles appends.
    ///
    /// It ends when the task is canceled or the service group shuts down.
    public func run() async throws {
        let reading = Task(name: "shard-map") { await rereadMap() }
        let settling = Task(name: "shard-settlement") { await runSettlement() }
        defer {
            reading.cancel()
            settling.cancel()
        }
        try await withThrowingDiscardingTaskGroup { group in
            for shard in shards.values { group.addTask { try await shard.run() } }
        }
    }

    // MARK: The map

    private func rereadMap() async {
        var copied: Int64?
        while !Task.isCancelled {
            if copied != map.current.number {
                await copySubscriptions()
                copied = map.current.number
            }
            do { try await Task.sleep(for: Self.mapInterval) } catch { return }
            do throws(StoreError) { try await reloadMap() } catch {
                if !Task.isCancelled {
                    logger.warning("cannot read the map of the shards", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    /// Reads the map from all shards that respond.
    func reloadMap() async throws(StoreError) {
        let found = try await Self.read(shards, logger: logger)
        let (ledger, present) = state.withLock { state in
            state.hasMovedJobs = state.hasMovedJobs || found.hasMovedJobs
            return (state.ledger, state.map.current.number)
        }
        guard found.ledger == ledger else {
            throw StoreError(.schema, "a shard belongs to another ledger than before")
        }
        guard found.map.current.number > present else { return }
        state.withLock { state in
            // Another call may have read a newer one.
            if found.map.current.number > state.map.current.number { state.map = found.map }
        }
        logger.notice("the map of the shards has changed", metadata: ["map.version": "\(found.map.current.number)"])
    }

    /// Reads the newest version of the map that all shards have.
    private static func read(
        _ shards: [Int: PostgresLedger], logger: Logger
    ) async throws(StoreError) -> MapState {
        var states: [ShardStore.State] = []
        var failure: StoreError?
        for (number, result) in await fanOut(shards, { (ledger) throws(StoreError) in try await ledger.shardState() }) {
            switch result {
            case .success(let state?):
                guard state.number == number else {
                    throw StoreError(
                        .schema, "the database given as shard \(number) is shard \(state.number) of its ledger")
                }
                states.append(state)
            // The file may name a database that will be added.
            case .success(nil): continue
            case .failure(let error): failure = error.naming(shard: number)
            }
        }
        guard let newest = states.max(by: { $0.version < $1.version }) else {
            throw failure
                ?? StoreError(.schema, "the databases are not shards yet: run 'progress-ledger shards add NUMBER …'")
        }
        guard states.allSatisfy({ $0.ledger == newest.ledger }) else {
            throw StoreError(.schema, "the databases are shards of different ledgers")
        }
        // A change has reached all shards as soon as one of them no longer waits for the others.
        let finished = states.filter { !$0.isChanging }.map(\.version).max() ?? newest.version - 1
        let versions = newest.versions.filter { $0.number <= finished }
        guard !versions.isEmpty else {
            throw StoreError(
                .unavailable, "the first map of the shards is being written: run 'progress-ledger shards resume'",
                retryAfter: .seconds(1))
        }
        return MapState(
            map: ShardMap(versions: versions), hasMovedJobs: states.contains(where: \.hasMovedJobs),
            ledger: newest.ledger)
    }

    // MARK: Routing

    /// The shard in which a job is, or in which to look for it first.
    func location(of job: JobID) -> Int {
        if let known = locations.withLock({ $0.peek(job) }) { return known }
        return map.owners(of: job)[0]
    }

    /// Remembers the shard of a job, if its id alone does not determine it.
    func confirm(_ job: JobID, in shard: Int) {
        if map.versions.count > 1 || hasMovedJobs { remember(job, in: shard) }
    }

    private func remember(_ job: JobID, in shard: Int) { locations.withLock { $0.put(shard, job) } }

    /// The ledger of a shard.
    func ledger(_ shard: Int) throws(StoreError) -> PostgresLedger {
        guard let ledger = shards[shard] else {
            throw StoreError(
                .unavailable, "shard \(shard) is not known to this server: add it to the file of shards, and restart",
                retryAfter: .seconds(10))
        }
        return ledger
    }

    /// Runs an operation on a shard.
    ///
    /// The error says which shard has failed.
    func on<R>(
        _ shard: Int, _ body: (PostgresLedger) async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        let ledger = try ledger(shard)
        do throws(StoreError) { return try await body(ledger) } catch { throw error.naming(shard: shard) }
    }

    /// Runs an operation on the shard of a job.
    ///
    /// If the job is not in the first shard to look at, the others that may have it are asked. So a job that exists
    /// where its id says costs nothing more.
    ///
    /// - Parameter isMissing: Whether a result means that the shard may not have the job.
    func route<R>(
        _ job: JobID, isMissing: (R) -> Bool, _ body: (PostgresLedger) async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        let first = location(of: job)
        let missing: Result<R, StoreError>
        do throws(StoreError) {
            let result = try await on(first, body)
            guard isMissing(result) else {
                confirm(job, in: first)
                return result
            }
            missing = .success(result)
        } catch {
            guard error.code == .unknownJob else { throw error }
            missing = .failure(error)
        }
        guard let other = try await find(job, besides: first) else { return try missing.get() }
        return try await on(other, body)
    }

    /// Variant for operations that return nil if the job does not exist.
    func routed<R>(
        _ job: JobID, _ body: (PostgresLedger) async throws(StoreError) -> R?
    ) async throws(StoreError) -> R? {
        try await route(job, isMissing: { $0 == nil }, body)
    }

    /// Returns the shard of a job that this one does not seem to have.
    ///
    /// `nil` if the job does not exist.
    ///
    /// - Throws: ``StoreError/Code/unavailable`` if a shard that may have the job is away, or if it is being moved.
    func find(_ job: JobID, besides first: Int) async throws(StoreError) -> Int? {
        let trace = try await on(first) { (ledger) throws(StoreError) in try await ledger.trace(of: job) }
        // It has come back meanwhile.
        if trace.isHere { return first }
        // This server may not know yet that the slot has another owner. Its former owner does.
        if trace.mapVersion > map.current.number { try await reloadMap() }
        var wasMoved = trace.movedTo != nil
        var rest = (trace.movedTo.map { [$0] } ?? []) + map.owners(of: job)
        var asked: Set<Int> = [first]
        while !rest.isEmpty {
            let shard = rest.removeFirst()
            guard asked.insert(shard).inserted else { continue }
            let trace = try await on(shard) { (ledger) throws(StoreError) in try await ledger.trace(of: job) }
            if trace.isHere {
                remember(job, in: shard)
                return shard
            }
            if let next = trace.movedTo {
                wasMoved = true
                rest.insert(next, at: 0)
            }
        }
        guard !wasMoved else {
            throw StoreError(
                .unavailable, "job \(job) is being moved to another shard", jobs: [job], retryAfter: .seconds(1))
        }
        return nil
    }

    /// Returns the ledger of a job.
    ///
    /// For operations with results that do not show whether the job exists.
    func home(of job: JobID) async throws(StoreError) -> PostgresLedger {
        let first = location(of: job)
        let isCertain =
            locations.withLock { $0.peek(job) != nil } || (map.owners(of: job).count == 1 && !hasMovedJobs)
        if isCertain { return try ledger(first) }
        if try await on(first, { (ledger) throws(StoreError) in try await ledger.contains(job) }) {
            remember(job, in: first)
            return try ledger(first)
        }
        return try ledger(try await find(job, besides: first) ?? first)
    }
}

extension StoreError {
    /// The same error with the number of the shard that has failed.
    func naming(shard: Int) -> StoreError {
        guard [.unavailable, .outcomeUnknown, .overloaded, .schema, .corrupt, .closed].contains(code),
            self.shard == nil
        else { return self }
        return StoreError(
            code, "shard \(shard): \(message)", jobs: jobs, retryAfter: retryAfter, shard: shard, cause: cause)
    }
}
