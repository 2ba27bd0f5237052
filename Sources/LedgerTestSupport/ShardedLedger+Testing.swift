public import LedgerProjection
public import LedgerStore
public import PQ

/// Runs the closure with new, numbered databases with the ledger's schema.
public func withLedgerDatabases<R>(_ count: Int, _ body: ([Int: ConnectionTarget]) async throws -> R) async throws -> R
{
    try await TestCluster.inTurn {
        var targets: [Int: ConnectionTarget] = [:]
        let result: Result<R, any Error>
        do {
            for number in 0..<count {
                targets[number] = try await TestCluster.shared.makeDatabase(
                    template: "ledger",
                    prepare: { target in _ = try await Migrator(target: target, logger: TestCluster.logger).migrate() })
            }
            result = .success(try await body(targets))
        } catch { result = .failure(error) }
        for target in targets.values { try await TestCluster.shared.dropDatabase(target) }
        return try result.get()
    }
}

/// Makes these databases the shards of one ledger.
public func addShards(_ numbers: [Int], of targets: [Int: ConnectionTarget]) async throws {
    let administration = ShardAdministration(targets, logger: TestCluster.logger)
    let result: Result<Void, any Error>
    do { result = .success(try await administration.add(numbers)) } catch { result = .failure(error) }
    await administration.close()
    try result.get()
}

/// Runs the closure with a divided ledger on these databases, which are shards.
///
/// A projection worker runs for each of them unless `projection` is nil.
public func withRunningShards<R: Sendable>(
    _ targets: [Int: ConnectionTarget], projection: ProjectionSettings? = ProjectionSettings(),
    replays: ReplaySettings? = nil, settings: PostgresLedger.Settings = PostgresLedger.Settings(),
    _ body: (ShardedLedger, [Int: PostgresLedger]) async throws -> R
) async throws -> R {
    var small = settings
    small.share(connections: 9)
    let shards = PostgresLedger.shards(targets, settings: small, logger: TestCluster.logger)
    let ledger = try await ShardedLedger.open(shards, logger: TestCluster.logger)
    let running = Task { try await ledger.run(with: Array(shards.values), projection: projection, replays: replays) }
    let result: Result<R, any Error>
    do { result = .success(try await body(ledger, shards)) } catch { result = .failure(error) }
    running.cancel()
    try await running.value
    return try result.get()
}

/// Runs the closure with a new ledger that is divided among databases.
public func withShardedLedger<R: Sendable>(
    _ count: Int, projection: ProjectionSettings? = ProjectionSettings(), replays: ReplaySettings? = nil,
    _ body: (ShardedLedger, [Int: PostgresLedger]) async throws -> R
) async throws -> R {
    try await withLedgerDatabases(count) { targets in
        try await addShards(Array(0..<count), of: targets)
        return try await withRunningShards(targets, projection: projection, replays: replays, body)
    }
}

extension ShardedLedger {
    /// Runs the ledger with the workers of its shards.
    fileprivate func run(
        with shards: [PostgresLedger], projection: ProjectionSettings?, replays: ReplaySettings?
    ) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await self.run() }
            for shard in shards {
                if let projection {
                    let worker = ProjectionWorker(ledger: shard, settings: projection, logger: TestCluster.logger)
                    group.addTask { try await worker.run() }
                }
                if let replays {
                    let runner = ReplayRunner(ledger: shard, settings: replays, logger: TestCluster.logger)
                    group.addTask { try await runner.run() }
                }
            }
        }
    }
}
