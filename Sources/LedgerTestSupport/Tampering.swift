public import Ledger
public import PQ

/// Changes the ledger as somebody would who has all rights over the database: without the triggers that refuse it, on
/// the event table, its partitions, the jobs and the heads.
///
/// - Parameters:
///   - sql: A statement; `$1` is the first of the jobs, `$2` the second.
/// - Returns: How many rows were changed: where there are none, a test tests nothing.
public func tamper(_ target: ConnectionTarget, _ sql: String, _ jobs: [JobID]) async throws -> Int {
    let pool = Pool(target: target, logger: TestCluster.logger)
    let result: Result<Int, any Error>
    do {
        _ = try await pool.query(Query(disablingTriggers, prepare: false))
        let parameters = jobs.map { Parameter.uuid(UUIDBytes(high: $0.high, low: $0.low)) }
        let used = sql.contains("$2") ? 2 : sql.contains("$1") ? 1 : 0
        result = .success(try await pool.query(Query(sql, Array(parameters.prefix(used)))).affectedRows)
    } catch {
        result = .failure(error)
    }
    await pool.close()
    return try result.get()
}

private let disablingTriggers = """
    do $$
    declare part regclass;
    begin
        for part in
            select inhrelid::regclass from pg_inherits where inhparent = 'ledger.event'::regclass
            union all select unnest(array['ledger.event', 'ledger.job', 'ledger.job_head']::regclass[])
        loop
            execute format('alter table %s disable trigger user', part);
        end loop;
    end
    $$
    """
