import Ledger
import LedgerStore
import LedgerTestSupport
import Logging
import PQ
import Testing

/// The guarantees of sessions under any settings of an administrator, and refusals.
@Suite("Sessions", .timeLimit(.minutes(10)))
struct SessionTests {
    private static let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

    private static func report(_ number: Int64) -> EventDraft {
        EventDraft(
            .progress(ProgressReport(reference: ExecutionReference(task: "t", execution: "e"), report: number, done: 1))
        )
    }

    private func administrator<R>(_ target: ConnectionTarget, _ body: (Pool) async throws -> R) async throws -> R {
        let pool = Pool(target: target, logger: Self.silent)
        let result: Result<R, any Error>
        do { result = .success(try await body(pool)) } catch { result = .failure(error) }
        await pool.close()
        return try result.get()
    }

    private func alter(_ target: ConnectionTarget, _ settings: String...) async throws {
        let name = try #require(target["dbname"])
        try await administrator(target) { pool in
            for setting in settings {
                _ = try await pool.query(Query("alter database \(name) set \(setting)", prepare: false))
            }
        }
    }

    @Test("defaults of the database do not weaken the ledger's guarantees")
    func defaults() async throws {
        try await withLedgerDatabase { target in
            try await alter(
                target, "synchronous_commit = off", "statement_timeout = '300ms'", "lock_timeout = '1ms'",
                "idle_session_timeout = '300ms'", "client_min_messages = error",
                "default_transaction_isolation = serializable", "default_transaction_deferrable = on",
                "search_path = public", "timezone = 'Asia/Tokyo'", "client_encoding = latin1")
            try await withRunningLedger(on: target) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n\u{e9}\u{1F600}")).view
                #expect(job.description.name == "n\u{e9}\u{1F600}")
                #expect(try await ledger.append([Self.report(1)], to: job.id) == 2...2)
                #expect(try await ledger.waitUntilFolded(job.id, sequence: 2, deadline: .testTimeout))
                // The pause is longer than any of the limits that were set.
                _ = try await ledger.pool.query(Query("select pg_sleep(0.6)"))
                for pool in [ledger.pool, ledger.replayPool] {
                    let row = try await pool.query(
                        Query(
                            """
                            select current_setting('synchronous_commit'), current_setting('client_min_messages'),
                                current_setting('transaction_isolation'), current_setting('client_encoding')
                            """))[0]
                    #expect(try row.decode(0, as: String.self) == "on")
                    #expect(try row.decode(1, as: String.self) == "notice")
                    #expect(try row.decode(2, as: String.self) == "read committed")
                    #expect(try row.decode(3, as: String.self) == "UTF8")
                }
            }
        }
    }

    @Test("a weaker synchronous_commit that an administrator chose is kept", arguments: ["local", "remote_write"])
    func chosenCommit(_ value: String) async throws {
        try await withLedgerDatabase { target in
            try await alter(target, "synchronous_commit = \(value)")
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let row = try await ledger.pool.query(Query("select current_setting('synchronous_commit')"))[0]
                #expect(try row.decode(0, as: String.self) == value)
            }
        }
    }

    @Test("appends fail while the database is read-only, and succeed as soon as it is writable")
    func readOnly() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                try await alter(target, "default_transaction_read_only = on")
                // Existing sessions keep their settings, so they are ended. New ones get the default.
                try await administrator(target) { pool in
                    _ = try await pool.query(
                        Query(
                            """
                            select pg_terminate_backend(pid) from pg_stat_activity
                            where application_name like 'progress-ledger%' and datname = current_database()
                                and pid <> pg_backend_pid()
                            """))
                }
                try await eventually({ $0?.code == .unavailable && $0?.message.contains("read only") == true }) {
                    () -> StoreError? in
                    do throws(StoreError) { _ = try await ledger.append([Self.report(1)], to: job) } catch {
                        return error
                    }
                    return nil
                }
                let creation = await #expect(throws: StoreError.self) {
                    try await ledger.createJob(JobDescription(name: "n"))
                }
                #expect(creation?.code == .unavailable)
                #expect(await ledger.readiness().checks.contains { !$0.isPassed && $0.detail.contains("read only") })
                // Reading still works.
                #expect(try await ledger.job(job)?.id == job)
                try await administrator(target.setting("options", "-c default_transaction_read_only=off")) { pool in
                    let name = try #require(target["dbname"])
                    _ = try await pool.query(
                        Query("alter database \(name) reset default_transaction_read_only", prepare: false))
                }
                try await eventually({ $0.lowerBound >= 2 }, retriesErrors: true) {
                    try await ledger.append([Self.report(1)], to: job)
                }
            }
        }
    }

    @Test("a standby refuses writes, and accepts them after promotion without a restart")
    func standby() async throws {
        try await withReplicatedServer(isSynchronous: false) { primary, standby in
            _ = try await Migrator(target: primary.target, logger: Self.silent).migrate()
            let job = try await withRunningLedger(on: primary.target, logger: Self.silent) { ledger in
                try await ledger.createJob(JobDescription(name: "n")).view.id
            }
            try await withRunningLedger(on: standby.target, logger: Self.silent) { ledger in
                try await eventually({ $0 != nil }) { try await ledger.job(job) }
                let error = await #expect(throws: StoreError.self) {
                    try await ledger.append([Self.report(1)], to: job)
                }
                #expect(error?.code == .unavailable)
                #expect(error?.retryAfter != nil)
                #expect(await ledger.readiness().checks.contains { !$0.isPassed && $0.detail.contains("recovery") })
                try await PostgresLedger.checkSession(of: standby.target, logger: Self.silent)
                try await primary.kill()
                try await standby.promote()
                try await eventually(equals: 2...2, retriesErrors: true) {
                    try await ledger.append([Self.report(1)], to: job)
                }
                #expect(try await ledger.waitUntilFolded(job, sequence: 2, deadline: .testTimeout))
                try await eventually({ $0.allSatisfy(\.isPassed) }) { await ledger.readiness().checks }
            }
        }
    }

    @Test("a job that lost acknowledged events is named once")
    func lostAcknowledgements() async throws {
        try await withReplicatedServer(isSynchronous: false) { primary, standby in
            let hosts = "\(primary.target["host"] ?? ""),\(standby.target["host"] ?? "")"
            let both = primary.target.setting("host", hosts).setting("port", "5432,5432")
                .setting("target_session_attrs", "read-write")
            _ = try await Migrator(target: both, logger: Self.silent).migrate()
            try await withRunningLedger(on: both, logger: Self.silent) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let kept = try await ledger.createJob(JobDescription(name: "kept")).view.id
                _ = try await ledger.append((1...5).map { Self.report($0) }, to: job)
                try await administrator(standby.target) { pool in
                    try await eventually(equals: 1) {
                        try await pool.query(Query("select sequence from ledger.job_head where sequence = 6")).count
                    }
                }
                try await standby.kill()
                _ = try await ledger.append((6...10).map { Self.report($0) }, to: job)
                #expect(try await ledger.waitUntilFolded(job, sequence: 11, deadline: .testTimeout))
                try await primary.kill()
                try await standby.start()
                try await standby.promote()
                try await eventually({ $0.contains(job) }) { await ledger.lostJobs.map(\.job) }
                let lost = await ledger.lostJobs
                #expect(lost.map(\.job) == [job], "\(kept) lost nothing")
                #expect(lost.first?.acknowledged == 11 && lost.first?.found == 6)
                // The cached state is not used, and new appends continue from the restored head.
                try await eventually(equals: 7...7, retriesErrors: true) {
                    try await ledger.append([Self.report(6)], to: job)
                }
                try await eventually(equals: 7) { try await ledger.job(job)?.snapshot.sequence }
                #expect(await ledger.lostJobs.count == 1)
                let metrics = await ledger.statistics()
                #expect(metrics.first { $0.name == "progress_ledger_acknowledged_lost_jobs_total" }?.value == 1)
            }
        }
    }

    @Test("a login that may not take the service's role is refused with that reason")
    func missingRole() async throws {
        try await withLedgerDatabase { target in
            let login = "login_\(UInt32.random(in: 0 ... .max))"
            try await administrator(target) { pool in
                _ = try await pool.query(Query("create role \(login) login", prepare: false))
            }
            let error = await #expect(throws: PQError.self) {
                try await PostgresLedger.checkSession(of: target.setting("user", login), logger: Self.silent)
            }
            #expect(error?.code == .sessionRefused)
            #expect(error?.sqlState == .insufficientPrivilege)
            try await administrator(target) { pool in
                _ = try await pool.query(Query("drop role \(login)", prepare: false))
            }
        }
    }

    @Test("with a small connection limit the pools share connections, and all operations succeed")
    func fewConnections() async throws {
        try await withLedgerDatabase { target in
            let login = "limited_\(UInt32.random(in: 0 ... .max))"
            try await administrator(target) { pool in
                _ = try await pool.query(
                    Query(
                        "create role \(login) login connection limit 3 in role progress_ledger_service",
                        prepare: false))
            }
            try await withRunningLedger(on: target.setting("user", login), logger: Self.silent) { ledger in
                for number in Int64(1)...5 {
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    async let other = ledger.job(job)
                    #expect(try await ledger.append([Self.report(number)], to: job) == 2...2)
                    #expect(try await other != nil)
                    #expect(try await ledger.waitUntilFolded(job, sequence: 2, deadline: .testTimeout))
                }
            }
            try await administrator(target) { pool in
                try await eventually(equals: 0) {
                    try await pool.query(Query("select 1 from pg_stat_activity where usename = '\(login)'")).count
                }
                _ = try await pool.query(Query("drop role \(login)", prepare: false))
            }
        }
    }

    @Test("a pool closes idle connections")
    func idleConnections() async throws {
        try await withTestDatabase { target in
            var settings = Pool.Settings()
            settings.idleMax = .milliseconds(100)
            let pool = Pool(target: target, settings: settings, logger: Self.silent)
            try await withThrowingDiscardingTaskGroup { group in
                for _ in 1...4 { group.addTask { _ = try await pool.query(Query("select pg_sleep(0.05)")) } }
            }
            try await eventually(equals: 0) { await pool.statistics.connections }
            #expect(try await pool.query(Query("select 1")).count == 1)
            await pool.close()
        }
    }

    @Test("an append to a detached month fails alone; the rest of its group is written")
    func detachedMonthFailsAlone() async throws {
        try await withLedgerDatabase { target in
            // A job of 2020, for which no partition exists.
            let detached = JobID(high: 0x016f_5e66_e800_7000, low: 0x8000_0000_0000_0001)
            try await administrator(target) { pool in
                _ = try await pool.pipeline([
                    Query(
                        "insert into ledger.job (job_id, name, tags, created_at) values ($1, 'old', '{}', '2020-01-01Z')",
                        [.uuid(detached.uuid)]),
                    Query(
                        """
                        insert into ledger.job_head (job_id, sequence, recorded_at, hash)
                        values ($1, 1, '2020-01-01Z', decode(repeat('00', 32), 'hex'))
                        """, [.uuid(detached.uuid)]),
                ])
            }
            var settings = PostgresLedger.Settings()
            settings.appendGroupsMax = 1
            try await withRunningLedger(
                on: target, projection: nil, settings: settings, logger: Self.silent
            ) { ledger in
                var others: [JobID] = []
                for _ in 1...20 { others.append(try await ledger.createJob(JobDescription(name: "new")).view.id) }
                // A locked head makes the appends wait and form one group.
                let results = try await administrator(target) { pool in
                    try await pool.withTransaction { transaction in
                        _ = try await transaction.query(
                            Query(
                                "select 1 from ledger.job_head where job_id = $1 for update",
                                [.uuid(others[0].uuid)]))
                        let appends = (others + [detached]).map { job in
                            Task { try await ledger.append([Self.report(1)], to: job) }
                        }
                        try await eventually({ !$0.isEmpty }) { try await ledger.status().blocked }
                        _ = try await transaction.commit()
                        var results: [Result<ClosedRange<EventSequence>, any Error>] = []
                        for append in appends { results.append(await append.result) }
                        return results
                    }
                }
                for result in results.dropLast() { #expect(try result.get() == 2...2) }
                let error = #expect(throws: StoreError.self) { try results[20].get() }
                #expect(error?.code == .incomplete)
                #expect(error?.jobs == [detached])
            }
        }
    }

    @Test("a locked head of one job does not block appends to other jobs of the group")
    func lockedHead() async throws {
        try await withLedgerDatabase { target in
            var settings = PostgresLedger.Settings()
            settings.appendGroupsMax = 1
            try await withRunningLedger(
                on: target, projection: nil, settings: settings, logger: Self.silent
            ) { ledger in
                var jobs: [JobID] = []
                for _ in 1...20 { jobs.append(try await ledger.createJob(JobDescription(name: "n")).view.id) }
                try await administrator(target) { pool in
                    try await pool.withTransaction { transaction in
                        for job in jobs[0...1] {
                            _ = try await transaction.query(
                                Query(
                                    "select 1 from ledger.job_head where job_id = $1 for update",
                                    [.uuid(job.uuid)]))
                        }
                        let appends = jobs.map { job in
                            Task { try await ledger.append([Self.report(1)], to: job) }
                        }
                        for append in appends[2...] { #expect(try await append.value == 2...2) }
                        for append in appends[0...1] {
                            let error = await #expect(throws: StoreError.self) { try await append.value }
                            #expect(error?.code == .unavailable)
                        }
                    }
                }
                #expect(
                    try await ledger.append([Self.report(2)], to: jobs[0]) == 2...2,
                    "the failed append recorded no event")
            }
        }
    }
}
