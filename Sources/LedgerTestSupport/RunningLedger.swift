public import LedgerProjection
public import LedgerStore
public import Logging
public import PQ

/// Runs the closure on a database of its own with the ledger's schema in it.
public func withLedgerDatabase<R>(_ body: (ConnectionTarget) async throws -> R) async throws -> R {
    try await withTestDatabase(
        template: "ledger",
        prepare: { target in _ = try await Migrator(target: target, logger: TestCluster.logger).migrate() }, body)
}

/// Runs the closure with a ledger on this database, and with a projection worker unless told otherwise; with a runner of
/// replays where settings are given.
public func withRunningLedger<R: Sendable>(
    on target: ConnectionTarget, projection: ProjectionSettings? = ProjectionSettings(),
    replays: ReplaySettings? = nil, settings: PostgresLedger.Settings = PostgresLedger.Settings(),
    logger: Logger = TestCluster.logger, _ body: (PostgresLedger) async throws -> R
) async throws -> R {
    let ledger = PostgresLedger(target: target, settings: settings, logger: logger)
    let runner = replays.map { ReplayRunner(ledger: ledger, settings: $0, logger: TestCluster.logger) }
    let worker = projection.map { ProjectionWorker(ledger: ledger, settings: $0, logger: TestCluster.logger) }
    let running = Task {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await ledger.run() }
            if let worker { group.addTask { try await worker.run() } }
            if let runner { group.addTask { try await runner.run() } }
        }
    }
    let result: Result<R, any Error>
    do { result = .success(try await body(ledger)) } catch { result = .failure(error) }
    running.cancel()
    try await running.value
    return try result.get()
}

/// Runs the closure with a ledger and a worker on a database of its own.
public func withLedger<R: Sendable>(
    projection: ProjectionSettings? = ProjectionSettings(), _ body: (PostgresLedger) async throws -> R
) async throws -> R {
    try await withLedgerDatabase { target in
        try await withRunningLedger(on: target, projection: projection, body)
    }
}

/// Does what an operator does with months that are over: detaches every partition of the event table, with its events.
public func retireAllMonths(_ ledger: PostgresLedger) async throws {
    _ = try await ledger.pool.query(
        Query(
            """
            do $$
            declare part regclass;
            begin
                set local role none;
                for part in select inhrelid::regclass from pg_inherits where inhparent = 'ledger.event'::regclass
                loop
                    execute format('alter table ledger.event detach partition %s', part);
                end loop;
            end
            $$
            """, prepare: false))
}
