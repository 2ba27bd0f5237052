import LedgerTestSupport
import Logging
import PQ
import Testing

func withPool<R>(
    _ adjust: (inout Pool.Settings) -> Void = { _ in }, _ body: (Pool) async throws -> R
) async throws -> R {
    try await withTestDatabase { target in
        var settings = Pool.Settings()
        // Long deadlines, so that a machine busy with other tests does not fail this one.
        settings.operationDeadline = .seconds(120)
        settings.acquireDeadline = .seconds(60)
        settings.cancelGrace = .seconds(60)
        adjust(&settings)
        let pool = Pool(target: target, settings: settings, logger: TestCluster.logger)
        let result = try await body(pool)
        await pool.close()
        return result
    }
}

@Suite("Pool and connection")
struct PoolTests {
    @Test("the extreme values of every type are returned as they were sent")
    func extremes() async throws {
        try await withPool { pool in
            let text =
                "\u{1F469}\u{200D}\u{1F4BB} \u{05E9}\u{05DC}\u{05D5}\u{05DD} e\u{301} '\"\\; drop table x; -- <b>"
            let rows = try await pool.query(
                Query(
                    "select $1::int8, $2::int8, $3::int4, $4::int2, $5::numeric, $6::numeric, $7::text, $8::bytea, $9::uuid, $10::timestamptz, $11::bool, $12::float8, $13::text, $14::numeric",
                    [
                        .int8(.min), .int8(.max), .int4(.min), .int2(.max), .numeric(.min), .numeric(.max), .text(text),
                        .bytea([0, 255, 39, 92]), .uuid(UUIDBytes(high: 1, low: .max)),
                        .timestamptz(microsecondsSince1970: -1), .bool(true), .float8(-0.5), .text(nil), .numeric(0),
                    ]))
            let row = try #require(rows.first)
            #expect(try row.decode(0, as: Int64.self) == .min)
            #expect(try row.decode(1, as: Int64.self) == .max)
            #expect(try row.decode(2, as: Int32.self) == .min)
            #expect(try row.decode(3, as: Int16.self) == .max)
            #expect(try row.decode(4, as: Int128.self) == .min)
            #expect(try row.decode(5, as: Int128.self) == .max)
            #expect(Array(try row.decode(6, as: String.self).unicodeScalars) == Array(text.unicodeScalars))
            #expect(try row.decode(7, as: [UInt8].self) == [0, 255, 39, 92])
            #expect(try row.decode(8, as: UUIDBytes.self) == UUIDBytes(high: 1, low: .max))
            #expect(try row.decode(9, as: TimestampMicroseconds.self).microsecondsSince1970 == -1)
            #expect(try row.decode(10, as: Bool.self))
            #expect(try row.decode(11, as: Double.self) == -0.5)
            #expect(try row.decodeIfPresent(12, as: String.self) == nil)
            #expect(try row.decode(13, as: Int128.self) == 0)
        }
    }

    @Test(
        "integers of any size survive a round trip through numeric",
        arguments: [
            Int128(0), 1, -1, 9_999, 10_000, 10_001, 100_000_000, 123_456_789_012_345_678_901_234, -10_000,
            1 << 116, 20_000_000_000_000_000_000,
        ])
    func numerics(value: Int128) async throws {
        try await withPool { pool in
            let rows = try await pool.query(Query("select $1::numeric, $1::numeric::text", [.numeric(value)]))
            #expect(try rows[0].decode(0, as: Int128.self) == value)
            #expect(try rows[0].decode(1, as: String.self) == "\(value)")
        }
    }

    @Test("decoding refuses infinite times, NULL, other types and numbers out of range")
    func refusesWhatDoesNotFit() async throws {
        try await withPool { pool in
            let row = try await pool.query(
                Query(
                    """
                    select 'infinity'::timestamptz, '-infinity'::timestamptz, null::int8, 70000::int4, 'x'::text, 1.5::numeric,
                        'NaN'::numeric, '{{1,2},{3,4}}'::int8[], '9'::numeric ^ 60
                    """))[0]
            func refuses<Value: PostgresDecodable>(_ column: Int, _ type: Value.Type) {
                let error = #expect(throws: PQError.self) { try row.decode(column, as: type) }
                #expect(error?.code == .decoding)
            }
            refuses(0, TimestampMicroseconds.self)
            refuses(1, TimestampMicroseconds.self)
            refuses(2, Int64.self)
            refuses(3, Int16.self)
            refuses(4, Int64.self)
            refuses(3, String.self)
            refuses(5, Int128.self)
            refuses(6, Int128.self)
            refuses(7, [Int64].self)
            refuses(8, Int128.self)
        }
    }

    @Test("arrays survive a round trip, empty or with NULLs")
    func arrays() async throws {
        try await withPool { pool in
            let rows = try await pool.query(
                Query(
                    "select $1::int8[], $2::text[], $3::numeric[], $4::bytea[]",
                    [
                        .int8s([1, nil, -3]), .texts(["a", "", nil, "\u{1F600}"]), .numerics([]), .byteas([[], [1]]),
                    ]))
            #expect(try rows[0].decode(0, as: [Int64?].self) == [1, nil, -3])
            #expect(try rows[0].decode(1, as: [String?].self) == ["a", "", nil, "\u{1F600}"])
            #expect(try rows[0].decode(2, as: [Int128].self) == [])
            #expect(try rows[0].decode(3, as: [[UInt8]].self) == [[], [1]])
            #expect(throws: PQError.self) { try rows[0].decode(0, as: [Int64].self) }
        }
    }

    @Test("results of many megabytes arrive complete")
    func large() async throws {
        try await withPool { pool in
            let one = try await pool.query(Query("select repeat('x', 20000000)"))
            #expect(try one[0].decode(0, as: String.self).utf8.count == 20_000_000)
            let many = try await pool.query(Query("select repeat('x', 200) from generate_series(1, 20000)"))
            #expect(many.count == 20_000)
        }
    }

    @Test("parameters of many megabytes arrive complete, in a pipeline with equally large results")
    func largeParameters() async throws {
        try await withPool { pool in
            let text = String(repeating: "y", count: 8_000_000)
            let results = try await pool.pipeline((0..<5).map { _ in Query("select $1::text", [.text(text)]) })
            #expect(results.count == 5)
            for rows in results { #expect(try rows[0].decode(0, as: String.self).utf8.count == 8_000_000) }
        }
    }

    @Test("a text with U+0000 is refused before anything is sent")
    func refusesNUL() async throws {
        try await withPool { pool in
            let error = await #expect(throws: PQError.self) {
                try await pool.query(Query("select $1::text", [.text("a\u{0}b")]))
            }
            #expect(error?.code == .invalidParameter)
        }
    }

    @Test("an error contains the server's SQLSTATE, and the connection stays usable")
    func serverErrors() async throws {
        try await withPool({ $0.connectionsMax = 1 }) { pool in
            let error = await #expect(throws: PQError.self) { try await pool.query(Query("select 1/0")) }
            #expect(error?.sqlState == .divisionByZero)
            #expect(error?.isRetrySafe == false)
            let result = try await integer(pool, "select 7")
            #expect(result == 7)
            let connected = await pool.statistics.connected
            #expect(connected == 1)
        }
    }

    @Test("a group outside of a transaction takes effect as a whole or not at all")
    func groupsAreAtomic() async throws {
        try await withPool { pool in
            _ = try await pool.query(Query("create table t (n int primary key)"))
            await #expect(throws: PQError.self) {
                try await pool.pipeline([1, 2, 1].map { Query("insert into t values ($1)", [.int4($0)]) })
            }
            let rowCount = try await integer(pool, "select count(*) from t")
            #expect(rowCount == 0)
        }
    }

    private func integer(_ pool: Pool, _ sql: String) async throws -> Int {
        try await pool.query(Query(sql))[0].decode(0)
    }

    @Test("a cancelled query ends at once and leaves the connection usable")
    func cancellation() async throws {
        try await withPool({ $0.connectionsMax = 1 }) { pool in
            let started = ContinuousClock.now
            let sleepingQuery = Task { try await pool.query(Query("select pg_sleep(100)")) }
            try await eventually { try await isSleeping(pool) }
            sleepingQuery.cancel()
            let error = await #expect(throws: PQError.self) { try await sleepingQuery.value }
            #expect(error?.code == .cancelled)
            #expect(started.duration(to: .now) < .seconds(90))
            let rowCount = try await pool.query(Query("select 1")).count
            #expect(rowCount == 1)
            let connected = await pool.statistics.connected
            #expect(connected == 1)
        }
    }

    /// Whether the query has been sent, which counts as a round trip.
    private func isSleeping(_ pool: Pool) async throws -> Bool {
        await pool.statistics.roundTrips >= 1
    }

    @Test("a query past its deadline is cancelled and leaves the connection usable")
    func deadlines() async throws {
        try await withPool({ $0.connectionsMax = 1 }) { pool in
            let error = await #expect(throws: PQError.self) {
                try await pool.query(Query("select pg_sleep(30)"), deadline: .milliseconds(50))
            }
            #expect(error?.code == .deadlineExceeded)
            let rowCount = try await pool.query(Query("select 1")).count
            #expect(rowCount == 1)
            let connected = await pool.statistics.connected
            #expect(connected == 1)
        }
    }

    @Test("a connection that the server has closed is replaced")
    func replacesLost() async throws {
        try await withPool { pool in
            let process = try await pool.query(Query("select pg_backend_pid()")).first?.decode(0, as: Int32.self)
            try await withTestPoolOfSameDatabase(pool) { killer in
                _ = try await killer.query(Query("select pg_terminate_backend($1)", [.int4(process)]))
            }
            try await eventually(equals: 1, retriesErrors: true) { () -> Int in
                do throws(PQError) { return try await pool.query(Query("select 1")).count } catch {
                    #expect(error.isRetrySafe || error.isOutcomeUnknown)
                    throw error
                }
            }
        }
    }

    private func withTestPoolOfSameDatabase(_ pool: Pool, _ body: (Pool) async throws -> Void) async throws {
        let other = Pool(target: try await TestCluster.shared.target(), logger: TestCluster.logger)
        try await body(other)
        await other.close()
    }

    @Test("callers beyond the connection limit wait; beyond the waiter limit they are refused")
    func bounds() async throws {
        try await withPool({
            $0.connectionsMax = 1
            $0.waitersMax = 1
        }) { pool in
            let waiter = try await Self.holdingOnlyConnection(of: pool) {
                let waiter = Task { try await pool.query(Query("select 1")) }
                try await eventually(equals: 1) { await pool.statistics.waiters }
                let refused = await #expect(throws: PQError.self) { try await pool.query(Query("select 2")) }
                #expect(refused?.code == .poolExhausted)
                return waiter
            }
            #expect(try await waiter.value.count == 1)
        }
    }

    @Test("a caller that waits too long for a connection is refused, and the next is served")
    func acquireDeadline() async throws {
        try await withPool({
            $0.connectionsMax = 1
            $0.acquireDeadline = .seconds(2)
        }) { pool in
            try await Self.holdingOnlyConnection(of: pool) {
                let late = await #expect(throws: PQError.self) { try await pool.query(Query("select 1")) }
                #expect(late?.code == .poolExhausted)
            }
            #expect(try await pool.query(Query("select 3")).count == 1)
        }
    }

    /// Runs the closure while a transaction holds a connection.
    private static func holdingOnlyConnection<R: Sendable>(
        of pool: Pool, _ body: () async throws -> R
    ) async throws -> R {
        let (gate, opener) = AsyncStream.makeStream(of: Never.self)
        defer { opener.finish() }
        let holder = Task {
            try await pool.withTransaction { transaction in
                _ = try await transaction.query(Query("select 1"))
                for await _ in gate {}
            }
        }
        try await eventually(equals: 1) { await pool.statistics.lent }
        let result = try await body()
        opener.finish()
        try await holder.value
        return result
    }

    @Test("many callers share few connections, and all are served")
    func sharing() async throws {
        try await withPool({ $0.connectionsMax = 3 }) { pool in
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for integer in 1...200 {
                    group.addTask {
                        try await pool.query(Query("select $1::int8", [.int8(Int64(integer))]))[0].decode(
                            0, as: Int.self)
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 20_100)
            let connected = await pool.statistics.connected
            #expect(connected <= 3)
        }
    }

    @Test("a prepared statement is prepared again after its table has changed")
    func staleStatements() async throws {
        try await withPool({ $0.connectionsMax = 1 }) { pool in
            _ = try await pool.query(Query("create table t (n int)"))
            let columnsBefore = try await pool.query(Query("select * from t")).columnNames
            #expect(columnsBefore == ["n"])
            _ = try await pool.query(Query("alter table t add column m int"))
            let columnsAfter = try await pool.query(Query("select * from t")).columnNames
            #expect(columnsAfter == ["n", "m"])
        }
    }

    @Test("statements beyond the cache limit evict the oldest ones, and all work")
    func evictsStatements() async throws {
        try await withPool({ $0.connectionsMax = 1 }) { pool in
            for round in 0..<2 {
                for integer in 0..<300 {
                    let rows = try await pool.query(Query("select \(integer) + $1::int8", [.int8(Int64(round))]))
                    #expect(try rows[0].decode(0, as: Int.self) == integer + round)
                }
            }
            let preparedCount = try await pool.query(Query("select count(*) from pg_prepared_statements"))
            #expect(try preparedCount[0].decode(0, as: Int.self) <= 257)
        }
    }

    @Test("a closed pool lends no connection")
    func closed() async throws {
        try await withPool { pool in
            _ = try await pool.query(Query("select 1"))
            await pool.close()
            let error = await #expect(throws: PQError.self) { try await pool.query(Query("select 1")) }
            #expect(error?.code == .poolClosed)
        }
    }

    @Test("of several hosts the first that responds is used")
    func severalHosts() async throws {
        let target = try await TestCluster.shared.target()
        let folder = try #require(target["host"])
        let several = target.setting("host", "/nonexistent,\(folder)").setting("port", "5432,5432")
        let pool = Pool(target: several, logger: TestCluster.logger)
        let rowCount = try await pool.query(Query("select 1")).count
        #expect(rowCount == 1)
        await pool.close()
    }

    @Test("an unreachable server is a retryable error that contains no password")
    func unreachable() async throws {
        let target = try ConnectionTarget("host=/nonexistent dbname=x password=secret user=y")
        let pool = Pool(target: target, logger: TestCluster.logger)
        let error = await #expect(throws: PQError.self) { try await pool.query(Query("select 1")) }
        #expect(error?.code == .connectionFailed)
        #expect(error?.isRetrySafe == true)
        #expect(!"\(String(reflecting: error)) \(target)".contains("secret"))
    }

    @Test(
        "the error for an invalid connection string contains no password",
        arguments: [
            "secret", "postgresql://u:secret@[::1]\"/db", "password=my secret\"word", "host=h password='secret",
            "postgresql://u:secret%zz@h/db", "mysql://u:secret@h/db", "=secret", "secret=1",
        ])
    func unreadable(text: String) throws {
        let error = #expect(throws: PQError.self) { try ConnectionTarget(text) }
        #expect(error?.code == .invalidConnectionString)
        let description = try #require(error).description
        #expect(!description.contains("secret") && !description.contains("word\""), "\(description)")
        #expect(description.contains("Expected a string such as postgresql://"), "\(description)")
    }
}
