import LedgerTestSupport
import PQ
import Testing

@Suite("Transactions, COPY and LISTEN")
struct TransactionTests {
    private struct Stop: Error {}

    @Test("a closure that returns is committed, and one that throws is rolled back")
    func commitsAndRollsBack() async throws {
        try await withPool { pool in
            _ = try await pool.query(Query("create table t (n int primary key)"))
            try await pool.withTransaction { transaction in
                _ = try await transaction.query(Query("insert into t values (1)"))
            }
            await #expect(throws: Stop.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query(Query("insert into t values (2)"))
                    throw Stop()
                }
            }
            let rowCount = try await count(pool)
            #expect(rowCount == 1)
        }
    }

    @Test("a closure that throws only PQError makes the transaction throw only PQError")
    func throwsTyped() async throws {
        func insert(_ numbers: [Int32], _ pool: Pool) async throws(PQError) {
            try await pool.withConnection { lease throws(PQError) in
                try await lease.withTransaction { transaction throws(PQError) in
                    for number in numbers {
                        _ = try await transaction.query(Query("insert into t values ($1)", [.int4(number)]))
                    }
                }
            }
            try await pool.withTransaction { transaction throws(PQError) in
                _ = try await transaction.query(Query("update t set n = -n"))
            }
        }
        try await withPool { pool in
            _ = try await pool.query(Query("create table t (n int primary key)"))
            try await insert([1, 2], pool)
            let refused = await #expect(throws: PQError.self) { try await insert([3, 4, 3], pool) }
            #expect(refused?.sqlState == .uniqueViolation)
            let rows = try await pool.query(Query("select n from t order by n"))
            #expect(try rows.map { try $0.decode(0, as: Int.self) } == [-2, -1])
        }
    }

    private func count(_ pool: Pool) async throws -> Int {
        try await pool.query(Query("select count(*) from t"))[0].decode(0)
    }

    @Test("BEGIN and COMMIT need no round trips of their own")
    func roundTrips() async throws {
        try await withPool({ $0.connectionsMax = 1 }) { pool in
            _ = try await pool.query(Query("create table t (n int)"))
            let before = await pool.statistics.roundTrips
            let sum = try await pool.withTransaction { transaction in
                let rows = try await transaction.query(Query("select count(*) from t"))
                _ = try await transaction.commit(after: [Query("insert into t values (1)")])
                return try rows[0].decode(0, as: Int.self)
            }
            #expect(sum == 0)
            let after = await pool.statistics.roundTrips
            #expect(after - before == 2)
            let rowCount = try await count(pool)
            #expect(rowCount == 1)
        }
    }

    @Test("a COMMIT that returns ROLLBACK is an error, and nothing is committed")
    func commitThatRollsBack() async throws {
        try await withPool { pool in
            _ = try await pool.query(Query("create table t (n int)"))
            let error = await #expect(throws: PQError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query(Query("insert into t values (1)"))
                    do throws(PQError) { _ = try await transaction.query(Query("select 1/0")) } catch {
                        #expect(error.sqlState == .divisionByZero)
                    }
                }
            }
            #expect(error?.code == .transactionRolledBack)
            let rowCount = try await count(pool)
            #expect(rowCount == 0)
        }
    }

    @Test("a transaction accepts no statement after its commit")
    func endsWithItsCommit() async throws {
        try await withPool { pool in
            let error = await #expect(throws: PQError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.commit(after: [Query("select 1")])
                    _ = try await transaction.query(Query("select 2"))
                }
            }
            #expect(error?.code == .misuse)
        }
    }

    @Test("COPY writes rows, and reads them in chunks of limited size")
    func copies() async throws {
        try await withPool { pool in
            _ = try await pool.query(Query("create table t (n int8, s text)"))
            let storedRows = try await pool.withTransaction { transaction in
                try await transaction.copyIn("copy t from stdin (format binary)") { writer in
                    for number in 1...50_000 {
                        try await writer.row([.int8(Int64(number)), .text(number % 2 == 0 ? nil : "row \(number)")])
                    }
                }
            }
            #expect(storedRows == 50_000)
            var bytes = 0
            var largest = 0
            try await pool.withTransaction(readOnly: true) { transaction in
                try await transaction.copyOut("copy t to stdout (format binary)") { chunk in
                    bytes += chunk.count
                    largest = max(largest, chunk.count)
                }
            }
            #expect(bytes > 1_000_000)
            #expect(largest < 70_000)
        }
    }

    @Test("a COPY statement without its reader or writer is refused, and the pool remains usable")
    func copyMisused() async throws {
        try await withPool { pool in
            for sql in ["copy (select 1) to stdout", "copy pg_am from stdin"] {
                for isPrepared in [true, false] {
                    let error = await #expect(throws: PQError.self) {
                        try await pool.query(Query(sql, prepare: isPrepared))
                    }
                    #expect(error?.code == .misuse, "\(sql): \(String(describing: error))")
                }
            }
            let rows = try await pool.query(Query("select 1"))
            #expect(rows.count == 1)
        }
    }

    @Test("the server waits while the reader of a COPY is slow")
    func copyWaits() async throws {
        try await withPool { pool in
            try await pool.withTransaction(readOnly: true) { transaction in
                let backend: Int32 = try await transaction.query(Query("select pg_backend_pid()"))[0].decode(0)
                var bytes = 0
                let sql = "copy (select repeat('x', 100) from generate_series(1, 400000)) to stdout"
                try await transaction.copyOut(sql) { chunk in
                    // The server blocks in writing to the client and stays blocked. If the client read on regardless,
                    // the server would finish long before the last check.
                    var blockedChecks = 0
                    try await eventually {
                        guard bytes == 0 else { return true }
                        let waits = try await pool.query(
                            Query("select wait_event from pg_stat_activity where pid = $1", [.int4(backend)]))
                        let isBlocked = try waits[0].decodeIfPresent(0, as: String.self) == "ClientWrite"
                        blockedChecks = isBlocked ? blockedChecks + 1 : 0
                        return blockedChecks == 20
                    }
                    bytes += chunk.count
                }
                #expect(bytes == 400_000 * 101)
            }
        }
    }

    @Test("rows of a binary COPY are read as they were sent, wherever the chunks end")
    func copyRows() async throws {
        try await withPool { pool in
            try await pool.withTransaction(readOnly: true) { transaction in
                let sql = """
                    copy (
                        select
                            n::smallint, -n::integer, n * 1000000000000, timestamptz 'epoch' + n * interval '1 second',
                            case when n % 3 > 0 then repeat('é', n % 40) end, null::text, uuid_send('00000000-0000-0000-0000-000000000000')
                        from generate_series(1, 9000) as n
                    ) to stdout (format binary)
                    """
                var reader = CopyRowReader()
                var n = 0
                try await transaction.copyOut(sql) { chunk in
                    try reader.read(chunk) { row throws(PQError) in
                        n += 1
                        #expect(try row.int2() == Int16(n))
                        #expect(try row.int4() == Int32(-n))
                        #expect(try row.int8() == Int64(n) * 1_000_000_000_000)
                        #expect(try row.timestamp()?.microsecondsSince1970 == Int64(n) * 1_000_000)
                        #expect(try row.text() == (n % 3 > 0 ? String(repeating: "é", count: n % 40) : nil))
                        #expect(try row.text() == nil)
                        #expect(try row.bytes() == [UInt8](repeating: 0, count: 16))
                    }
                }
                #expect(n == 9_000)
            }
        }
    }

    @Test("a binary COPY that is truncated, damaged or read with wrong types is refused")
    func copyRefusesDamage() async throws {
        var whole: [UInt8] = []
        try await withPool { pool in
            try await pool.withTransaction(readOnly: true) { transaction in
                try await transaction.copyOut("copy (values (1::int8, 'text')) to stdout (format binary)") {
                    whole += $0
                }
            }
        }
        func read(_ bytes: [UInt8]) throws(PQError) -> Int {
            var reader = CopyRowReader()
            var rows = 0
            try reader.read(bytes) { row throws(PQError) in
                _ = try row.int8()
                _ = try row.text()
                rows += 1
            }
            return rows
        }
        #expect(try read(whole) == 1)
        let header = 19
        let ends = [header, whole.count - 2]
        for length in 1..<whole.count where !ends.contains(length) {
            #expect(throws: PQError.self, "\(length) of \(whole.count) bytes") { try read(Array(whole.prefix(length))) }
        }
        for offset in 0..<11 {
            var damaged = whole
            damaged[offset] ^= 1
            #expect(throws: PQError.self) { try read(damaged) }
        }
        var reader = CopyRowReader()
        #expect(throws: PQError.self) { try reader.read(whole) { row throws(PQError) in _ = try row.int4() } }
        reader = CopyRowReader()
        #expect(throws: PQError.self) { try reader.read(whole) { row throws(PQError) in _ = try row.int8() } }
        #expect(throws: PQError.self) { try read(whole + whole) }
    }

    @Test("a COPY aborted by its writer stores nothing and leaves the connection usable")
    func copyAborted() async throws {
        try await withPool({ $0.connectionsMax = 1 }) { pool in
            _ = try await pool.query(Query("create table t (n int8)"))
            await #expect(throws: Stop.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.copyIn("copy t from stdin (format binary)") { writer in
                        for number in 1...20_000 { try await writer.row([.int8(Int64(number))]) }
                        throw Stop()
                    }
                }
            }
            let rowCount = try await count(pool)
            #expect(rowCount == 0)
            let connected = await pool.statistics.connected
            #expect(connected == 1)
        }
    }

    @Test("the error of a refused COPY contains the server's SQLSTATE")
    func copyRefused() async throws {
        try await withPool { pool in
            _ = try await pool.query(Query("create table t (n int8 primary key)"))
            let error = await #expect(throws: PQError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.copyIn("copy t from stdin (format binary)") { writer in
                        for _ in 1...2 { try await writer.row([.int8(1)]) }
                    }
                }
            }
            #expect(error?.sqlState == .uniqueViolation)
            let rowCount = try await count(pool)
            #expect(rowCount == 0)
        }
    }

    @Test("a connection lost during a commit reports an unknown outcome")
    func unknownOutcome() async throws {
        try await withPool { pool in
            _ = try await pool.query(Query("create table t (n int)"))
            let error = await #expect(throws: PQError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.commit(after: [
                        Query("insert into t values (1)"), Query("select pg_terminate_backend(pg_backend_pid())"),
                    ])
                }
            }
            #expect(error?.code == .connectionLost)
            #expect(error?.isOutcomeUnknown == true)
            #expect(error?.isRetrySafe == false)
        }
    }

    @Test("a connection lost before the commit has no effect, and a retry is safe")
    func lostBeforeCommit() async throws {
        try await withPool { pool in
            _ = try await pool.query(Query("create table t (n int)"))
            let error = await #expect(throws: PQError.self) {
                try await pool.withTransaction { transaction in
                    _ = try await transaction.query(Query("insert into t values (1)"))
                    _ = try await transaction.query(Query("select pg_terminate_backend(pg_backend_pid())"))
                }
            }
            #expect(error?.isRetrySafe == true)
            let rowCount = try await count(pool)
            #expect(rowCount == 0)
        }
    }

    @Test("a listener receives notifications and reconnects after its connection is cut")
    func reconnects() async throws {
        try await withTestDatabase { target in
            let pool = Pool(target: target, logger: TestCluster.logger)
            let received = ReceivedEvents()
            let listener = Listener(
                target: target, channels: ["news"], applicationName: "cut me", logger: TestCluster.logger)
            let task = Task { await listener.run { await received.record($0) } }
            try await eventually(equals: 1) { await received.connected }
            _ = try await pool.query(Query("select pg_notify('news', 'first')"))
            try await eventually(equals: ["first"]) { await received.payloads }
            _ = try await pool.query(
                Query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'cut me'"))
            try await eventually(equals: 2) { await received.connected }
            _ = try await pool.query(Query("select pg_notify('news', 'second')"))
            try await eventually(equals: ["first", "second"]) { await received.payloads }
            #expect(await received.disconnected == 1)
            task.cancel()
            await task.value
            await pool.close()
        }
    }

    @Test("a time limit for idle sessions of the database does not end a listener")
    func idleListener() async throws {
        try await withTestDatabase { target in
            var settings = Pool.Settings()
            settings.session.settings = [("idle_session_timeout", "0")]
            let pool = Pool(target: target, settings: settings, logger: TestCluster.logger)
            let name = try #require(target["dbname"])
            _ = try await pool.query(Query("alter database \(name) set idle_session_timeout = '100ms'", prepare: false))
            let received = ReceivedEvents()
            let listener = Listener(
                target: target, channels: ["news"], session: settings.session, logger: TestCluster.logger)
            let task = Task { await listener.run { await received.record($0) } }
            try await eventually(equals: 1) { await received.connected }
            _ = try await pool.query(Query("select pg_sleep(0.5)"))
            _ = try await pool.query(Query("select pg_notify('news', 'late')"))
            try await eventually(equals: ["late"]) { await received.payloads }
            #expect(await received.disconnected == 0)
            task.cancel()
            await task.value
            await pool.close()
        }
    }

    private actor ReceivedEvents {
        var connected = 0
        var disconnected = 0
        var payloads: [String] = []

        func record(_ event: Listener.Event) {
            switch event {
            case .connected: connected += 1
            case .disconnected: disconnected += 1
            case .notification(let notification): payloads.append(notification.payload)
            }
        }
    }
}
