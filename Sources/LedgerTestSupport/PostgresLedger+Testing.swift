public import LedgerProjection
public import LedgerStore
public import Logging
public import PQ
public import Tracing

/// Runs the closure with a new database that contains the ledger's schema.
public func withLedgerDatabase<R>(_ body: (ConnectionTarget) async throws -> R) async throws -> R {
    try await withTestDatabase(
        template: "ledger",
        prepare: { target in _ = try await Migrator(target: target, logger: TestCluster.logger).migrate() }, body)
}

/// Runs the closure with a ledger on this database.
///
/// A projection worker runs unless `projection` is nil. A replay runner runs if `replays` is not nil.
public func withRunningLedger<R: Sendable>(
    on target: ConnectionTarget, projection: ProjectionSettings? = ProjectionSettings(),
    replays: ReplaySettings? = nil, settings: PostgresLedger.Settings = PostgresLedger.Settings(),
    logger: Logger = TestCluster.logger, tracer: (any Tracer)? = nil, _ body: (PostgresLedger) async throws -> R
) async throws -> R {
    let ledger = PostgresLedger(target: target, settings: settings, logger: logger, tracer: tracer)
    let runner = replays.map { ReplayRunner(ledger: ledger, settings: $0, logger: TestCluster.logger) }
    let worker = projection.map { ProjectionWorker(ledger: ledger, settings: $0, logger: TestCluster.logger) }
    let running = Task { try await ledger.run(with: worker, runner) }
    let result: Result<R, any Error>
    do { result = .success(try await body(ledger)) } catch { result = .failure(error) }
    running.cancel()
    try await running.value
    return try result.get()
}

extension PostgresLedger {
    /// Runs the ledger with a projection worker and a replay runner.
    fileprivate func run(with worker: ProjectionWorker?, _ runner: ReplayRunner?) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await self.run() }
            if let worker { group.addTask { try await worker.run() } }
            if let runner { group.addTask { try await runner.run() } }
        }
    }
}

/// Runs the closure with a ledger and a projection worker on a new database.
public func withLedger<R: Sendable>(
    projection: ProjectionSettings? = ProjectionSettings(), _ body: (PostgresLedger) async throws -> R
) async throws -> R {
    try await withLedgerDatabase { target in
        try await withRunningLedger(on: target, projection: projection, body)
    }
}

/// Detaches every partition of the event table, with its events.
///
/// An operator does the same with past months.
public func detachAllPartitions(_ ledger: PostgresLedger) async throws {
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
