public import Ledger
internal import LedgerStore
public import PQ

/// Changes the ledger as a superuser of the database could.
///
/// It first disables the triggers that refuse changes, on the event table, its partitions, the jobs and the heads.
///
/// - Parameters:
///   - target: The database.
///   - sql: A statement; `$1` is the first job, `$2` the second.
///   - jobs: The parameters of the statement.
/// - Returns: The number of changed rows. A test must check that it is not zero.
public func tamper(_ target: ConnectionTarget, _ sql: String, _ jobs: [JobID]) async throws -> Int {
    let pool = Pool(target: target, logger: TestCluster.logger)
    let result: Result<Int, any Error>
    do {
        _ = try await pool.query(Query(Tampering.disableTriggers, prepare: false))
        let parameters = jobs.map { Parameter.uuid($0.uuid) }
        let used = sql.contains("$2") ? 2 : sql.contains("$1") ? 1 : 0
        result = .success(try await pool.query(Query(sql, Array(parameters.prefix(used)))).affectedRows)
    } catch {
        result = .failure(error)
    }
    await pool.close()
    return try result.get()
}

private enum Tampering {
    /// Disables the triggers that keep the ledger append-only.
    static let disableTriggers = """
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
}
