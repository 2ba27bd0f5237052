import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerStore
@testable import PQ

/// The constructs that a database with distributed tables does not accept.
@Suite("SQL for distributed tables")
struct DistributionTests {
    private static func withPool<R>(_ target: ConnectionTarget, _ body: (Pool) async throws -> R) async throws -> R {
        let pool = Pool(target: target, logger: TestCluster.logger)
        let result: Result<R, any Error>
        do { result = .success(try await body(pool)) } catch { result = .failure(error) }
        await pool.close()
        return try result.get()
    }

    @Test(
        "the name of a violated constraint is recognized with and without the number of a shard",
        arguments: [
            ("job_key_unique", true), ("job_key_unique_102019", true), ("job_key_unique_", false),
            ("job_key_unique_10x", false), ("other_job_key_unique", false), ("job_key", false), ("_1", false),
        ])
    func constraintNames(name: String, isKey: Bool) {
        var report = PQError.ServerReport()
        report.constraint = name
        let error = PQError(.server, "refused", sqlState: .uniqueViolation, server: report)
        #expect(error.violates("job_key_unique") == isKey)
    }

    @Test("a missing partition is recognized with and without the number of a shard")
    func missingPartition() {
        for (table, isMissing) in [("event", true), ("event_102008", true), ("event_note", false), ("job", false)] {
            var report = PQError.ServerReport()
            report.table = table
            let error = PQError(.server, "refused", sqlState: .checkViolation, server: report)
            #expect(error.isMissingPartition == isMissing, "\(table)")
        }
    }

    @Test("several statements of a pipeline run between begin and commit")
    func pipelinesBegin() async throws {
        try await withTestDatabase { target in
            try await Self.withPool(target) { pool in
                // PostgreSQL refuses a savepoint without "begin", even in a pipeline.
                let statements = [Query("savepoint here", prepare: false), Query("select 1")]
                _ = try await pool.pipeline(statements)
                _ = try await pool.commit(statements)
                try await pool.withConnection { lease in _ = try await lease.pipeline(statements) }
            }
        }
    }

    @Test("no replay refers to a job by a foreign key, and no table has a sequence")
    func schemaHasNoObstacles() async throws {
        try await withLedgerDatabase { target in
            try await Self.withPool(target) { pool in
                let keys = try await pool.query(
                    Query(
                        """
                        select conrelid::regclass::text || ' to ' || confrelid::regclass::text
                        from pg_constraint
                        where contype = 'f' and connamespace = 'ledger'::regnamespace
                            and conrelid = 'ledger.replay'::regclass
                        """))
                #expect(keys.isEmpty)
                let sequences = try await pool.query(
                    Query("select from pg_class where relkind = 'S' and relnamespace = 'ledger'::regnamespace"))
                #expect(sequences.isEmpty)
            }
        }
    }

    @Test("a new partition keeps its events: both triggers fire in every mode")
    func partitionTriggers() async throws {
        try await withLedgerDatabase { target in
            try await Self.withPool(target) { pool in
                _ = try await pool.query(Query("select ledger.make_event_partition('2031-05-01')"))
                let rows = try await pool.query(
                    Query(
                        """
                        select count(*) filter (where tgenabled = 'A'), count(*)
                        from pg_trigger
                        where tgrelid = 'ledger.event_2031_05'::regclass
                        """))
                #expect(try rows[0].decode(0, as: Int.self) == 2)
                #expect(try rows[0].decode(1, as: Int.self) == 2)
            }
            let faults = try await Migrator(target: target, logger: TestCluster.logger).guaranteeFaults()
            #expect(faults.isEmpty)
        }
    }

    @Test("events that Citus distributes are noticed")
    func noticesCitus() async throws {
        try await withLedgerDatabase { target in
            let migrator = Migrator(target: target, logger: TestCluster.logger)
            #expect(try await migrator.isDistributed() == false)
            try await Self.withPool(target) { pool in
                // Only the table of Citus that names the distributed tables; the rest of Citus is not needed here.
                _ = try await pool.pipeline([
                    Query("set local allow_system_table_mods = on", prepare: false),
                    Query("create table pg_catalog.pg_dist_partition (logicalrelid regclass)", prepare: false),
                ])
                #expect(try await migrator.isDistributed() == false)
                _ = try await pool.query(Query("insert into pg_dist_partition values ('ledger.event')"))
            }
            #expect(try await migrator.isDistributed())
        }
    }
}
