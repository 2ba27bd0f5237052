import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

/// Neither a service that errs nor an owner may record unreadable events.
@Suite("Rules of the event table")
struct EventRuleTests {
    /// The columns of a valid event of each type, except those of every event.
    private static let valid: [String] = [
        "type, name: 1, 'n'", "type, task, execution: 2, 't', 'x'", "type, task, attempt: 2, 't', 1",
        "type, task, report, total, done: 3, 't', 1, 0, 9007199254740991",
        "type, task, label, done, carried, unit, part: 3, 't', 'l', 5, 5, 'bytes', 'p'",
        "type, task, message, link: 3, 't', repeat('m', 1000), repeat('l', 2000)",
        "type, task, outcome, message: 4, 't', 'failed', 'm'", "type, outcome: 5, 'canceled'",
    ]

    private static let broken: [String] = [
        "type, name, task: 1, 'n', 't'", "type: 1", "type, task: 2, 't'",
        "type, outcome, task, attempt: 2, 'failed', 't', 1",
        "type: 3", "type, task: 4, ''", "type, task, outcome: 4, 't', 'completed'", "type, outcome: 5, 'succeeded'",
        "type, task: 6, 't'", "type, task, attempt: 2, 't', 0", "type, task, report: 3, 't', 0",
        "type, task, report: 3, 't', 9007199254740992", "type, task, total: 3, 't', -1", "type, task, done: 3, 't', -1",
        "type, task, done: 3, 't', 9007199254740992", "type, task: 3, ''", "type, task: 3, repeat('t', 201)",
        "type, task, execution: 3, 't', ''", "type, task, label: 3, 't', ''",
        "type, task, label: 3, 't', repeat('l', 101)",
        "type, task, carried: 3, 't', 1", "type, task, done, carried: 3, 't', 1, 2",
        "type, task, done, carried: 3, 't', 1, -1",
        "type, task, attempt, carried: 2, 't', 1, 0", "type, task, unit: 3, 't', ''",
        "type, task, unit: 3, 't', repeat('u', 33)",
        "type, task, outcome, unit: 4, 't', 'failed', 'u'", "type, task, part: 3, 't', ''",
        "type, task, part: 3, 't', repeat('p', 101)", "type, task, message: 3, 't', ''",
        "type, task, message: 3, 't', repeat('m', 1001)", "type, task, attempt, message: 2, 't', 1, 'm'",
        "type, task, link: 3, 't', repeat('l', 2001)", "type, outcome, link: 5, 'failed', 'l'",
    ]

    /// Inserts the first event of a job with these columns.
    ///
    /// - Returns: The SQLSTATE of a refusal; nil if the row was inserted.
    private static func state(inserting row: String, on pool: Pool) async throws -> SQLState? {
        let parts = row.split(separator: ": ", maxSplits: 1)
        do throws(PQError) {
            _ = try await pool.query(
                Query(
                    """
                    insert into ledger.event (job_id, sequence, recorded_at, hash, \(parts[0]))
                    values (ledger.first_job_id(now()), 1, now(), sha256(''), \(parts[1]))
                    """, prepare: false))
            _ = try await pool.query(Query("truncate ledger.event", prepare: false))
            return nil
        } catch {
            return error.sqlState
        }
    }

    @Test("rows that the service never writes are refused, for the owner too")
    func refused() async throws {
        try await withLedgerDatabase { target in
            try await TestCluster.run(
                [
                    "alter table ledger.event disable trigger user",
                    "do $$ declare part regclass; begin for part in select inhrelid from pg_inherits "
                        + "where inhparent = 'ledger.event'::regclass loop "
                        + "execute format('alter table %s disable trigger user', part); end loop; end $$",
                ], on: target, logger: TestCluster.logger)
            let pool = Pool(target: target, logger: TestCluster.logger)
            for row in Self.valid { #expect(try await Self.state(inserting: row, on: pool) == nil, "\(row)") }
            for row in Self.broken {
                #expect(try await Self.state(inserting: row, on: pool) == .checkViolation, "\(row)")
            }
            await pool.close()
        }
    }
}
