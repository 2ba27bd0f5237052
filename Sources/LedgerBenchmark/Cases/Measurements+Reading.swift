internal import LedgerStore
internal import PQ

extension Measurements {
    // MARK: 5 and 7: lag and reads

    private static let lagEventsPerSecond = 5_000
    private static let readConnections = 64

    func lagAndReads(_ report: inout BenchmarkReport) async throws {
        try await machine.withSite(projects: true) { site in
            let stock = try await makeStock(site)
            var row = BenchmarkRow(
                "5", "lag from acknowledged to visible at 5,000 single events/s, p99 | the commit's p99", unit: "ms",
                target: 50)
            row.isCeiling = true
            var (lags, commits) = (Latencies(), Latencies())
            for _ in 0..<settings.rounds {
                let before = usage(site)
                let script = LagScript(
                    stock, perSecond: Self.lagEventsPerSecond, seconds: settings.seconds,
                    connections: Self.readConnections)
                let result = try await LoadGenerator(site.server.target, connections: Self.readConnections).run(
                    script, expected: 201)
                guard script.failures == 0 else { throw BenchmarkError("row 5: \(script.failures) requests failed") }
                let count = Double(script.commits.microseconds.count)
                let reached = count / (result.elapsed - LagScript.headStart).inSeconds
                row.note = "\(Int(reached)) events/s were reached"
                let after = usage(site)
                row.serverSeconds = (after.server - before.server) / count * 1e6
                row.postgresSeconds = (after.postgres - before.postgres) / count * 1e6
                row.ours.append(script.lags.quantile(0.99) ?? 0)
                lags.add(script.lags)
                commits.add(script.commits)
            }
            row.memory = ProcessUsage.peakMemory(of: site.server.process)
            finish(&row, lags, limit: commits)
            report.rows.append(row)
            report.proofs.append(try await BenchmarkAssertion(site: site, stock: stock).run("row 5", folds: true))
            if settings.includes(7) { try await reads(&report, site, stock) }
        }
    }

    private func reads(
        _ report: inout BenchmarkReport, _ site: BenchmarkMachine.Site, _ stock: JobStock
    ) async throws {
        let generator = LoadGenerator(site.server.target, connections: Self.readConnections)
        try await readEachOnce(site, stock)
        // A job without further events stalls, and its executions become silent: its snapshot changes twice.
        let changesMax = 2 * stock.jobs.count
        for (kind, status, name, target) in [
            (.snapshot, 200, "snapshots", 0.5), (.unchanged, 304, "unchanged snapshots (If-None-Match)", 0.8),
        ] as [(ReadScript.Kind, Int, String, Double)] {
            var row = BenchmarkRow(
                "7", "\(name), 64 connections | a constant of the same server", unit: "responses/s", target: target)
            var (ours, limit) = (Latencies(), Latencies())
            for _ in 0..<settings.rounds {
                try await measure(
                    site,
                    ReadScript(stock, kind, connections: Self.readConnections, seconds: settings.seconds),
                    connections: Self.readConnections, expected: status, events: 1, tolerated: (200, changesMax),
                    into: &row,
                    latencies: &ours)
                let constant = try await generator.run(
                    ReadScript(stock, .constant, connections: Self.readConnections, seconds: settings.seconds),
                    expected: 200)
                row.limit.append(constant.perSecond)
                limit.add(constant.latencies)
            }
            finish(&row, ours, limit: limit)
            report.rows.append(row)
        }
        try await readsOfPostgres(&report, site)
    }

    /// Reads the snapshot of each job once, to warm up as a running server would be.
    func readEachOnce(_ site: BenchmarkMachine.Site, _ stock: JobStock) async throws {
        let result = try await LoadGenerator(site.server.target, connections: Self.readConnections).run(
            ReadScript(
                stock, .snapshot, connections: Self.readConnections, seconds: 600, countMax: stock.jobs.count),
            expected: 200)
        guard result.failures.isEmpty else {
            throw BenchmarkError("reading snapshots failed: responses by status \(result.failures)")
        }
    }

    /// A pgbench script that reads one snapshot by its job's id.
    private static let selectSQL = """
        \\set j random(0, 999)
        select * from ledger.snapshot
        where job_id = (:prefix || lpad(to_hex(:j::bigint), 12, '0'))::uuid and is_live;
        """

    /// Measures reads by PostgreSQL alone, as a reference and not as a target.
    private func readsOfPostgres(_ report: inout BenchmarkReport, _ site: BenchmarkMachine.Site) async throws {
        guard let snapshots = report.rows.first(where: { $0.number == "7" }) else { return }
        var row = BenchmarkRow(
            "7", "\(Self.readConnections) connections | pgbench select of a snapshot's row, \(Self.readConnections)",
            unit: "responses/s")
        row.ours = snapshots.ours
        let prefix = try await fillSnapshots(site)
        var limit = Latencies()
        for _ in 0..<settings.rounds {
            let found = try await machine.pgbench(
                Self.selectSQL, database: site.limitName, clients: Self.readConnections,
                seconds: max(1, Int(settings.seconds)), variables: [("prefix", prefix)])
            add(found, to: &row, latencies: &limit)
        }
        finish(&row, Latencies(), limit: limit)
        report.rows.append(row)
    }

    /// Fills the snapshots of the limit's database.
    ///
    /// - Returns: The common prefix of the job ids.
    private func fillSnapshots(_ site: BenchmarkMachine.Site) async throws -> String {
        let prefix = try await site.limit.query(
            Query("select left(ledger.first_job_id(clock_timestamp())::text, 24)"))[0].decode(0, as: String.self)
        for (table, columns, values) in [
            ("job", "job_id, created_at, name", "now(), 'bench'"), ("snapshot", "job_id, sequence", "1"),
        ] {
            _ = try await site.limit.query(
                Query(
                    """
                    insert into ledger.\(table) (\(columns))
                    select ($1::text || lpad(to_hex(number), 12, '0'))::uuid, \(values)
                    from generate_series(0, 999) as number
                    """, [.text(prefix)]))
        }
        _ = try await site.limit.query(Query("vacuum analyze ledger.snapshot", prepare: false))
        return prefix
    }

    // MARK: 6 and 10: replay and memory

    /// The plainest SQL that sums the reports of the last execution of each task.
    private static let foldSQL = """
        select job_id, label, sum(total), sum(done)
        from (
            select job_id, task, attempt, label, total, done,
                max(attempt) over (partition by job_id, task) as last_attempt
            from ledger.event
            where type = 3
        ) as event
        where attempt = last_attempt
        group by job_id, label
        """

    func replay(_ report: inout BenchmarkReport) async throws {
        try await machine.withSite(projects: true) { site in
            try await Task.sleep(for: .seconds(1))
            var idle = memoryRow("idle", target: 60e6)
            idle.ours = [Double(ProcessUsage.memory(of: site.server.process))]
            let stock = try await makeStock(site)
            ProcessUsage.resetPeak(of: site.server.process)
            let fill = AppendScript(
                stock, .collected(1_000), connections: Self.batchConnections, seconds: 3_600, prepared: 0,
                countMax: settings.replayEvents / 2_000)
            let fillFirst = AppendScript(
                stock, .batch(1_000, lines: true), connections: Self.batchConnections, seconds: 3_600, prepared: 0,
                countMax: settings.replayEvents / 2_000)
            for script in [fill, fillFirst] {
                let result = try await LoadGenerator(site.server.target, connections: Self.batchConnections).run(
                    script, expected: 201)
                guard result.failures.isEmpty else {
                    throw BenchmarkError("row 6: responses by status \(result.failures)")
                }
            }
            report.proofs.append(try await BenchmarkAssertion(site: site, stock: stock).run("row 6", folds: true))
            var full = memoryRow("at full load", target: 250e6)
            full.ours = [Double(ProcessUsage.peakMemory(of: site.server.process))]

            _ = try await site.ours.query(Query("vacuum analyze ledger.event", prepare: false), deadline: .seconds(600))
            var row = BenchmarkRow(
                "6", "replay of \(settings.replayEvents) events, compared | SQL that folds them", unit: "events/s",
                target: 2)
            var replaying = memoryRow("replaying", target: 250e6)
            let events = Double(stock.expectation.eventCount)
            for _ in 0..<settings.rounds {
                ProcessUsage.resetPeak(of: site.server.process)
                row.ours.append(events / (try await replayOnce(site)))
                replaying.ours.append(Double(ProcessUsage.peakMemory(of: site.server.process)))
                let start = ContinuousClock.now
                let rows = try await site.ours.query(Query(Self.foldSQL, prepare: false), deadline: .seconds(600))
                guard !rows.isEmpty else { throw BenchmarkError("the SQL that folds returned no rows") }
                row.limit.append(events / start.duration(to: .now).inSeconds)
            }
            finish(&row, Latencies(), limit: Latencies())
            var streaming = memoryRow("streaming the events of the largest job", target: 250e6)
            ProcessUsage.resetPeak(of: site.server.process)
            streaming.note = "\(try await stream(site, job: stock.jobs[0])) bytes"
            streaming.ours = [Double(ProcessUsage.peakMemory(of: site.server.process))]
            report.rows += [row, idle, full, replaying, streaming]
        }
    }

    private func memoryRow(_ state: String, target: Double) -> BenchmarkRow {
        var row = BenchmarkRow("10", "memory of the server, \(state)", unit: "bytes", target: target)
        row.isCeiling = true
        return row
    }

    /// Runs one replay and checks that it finds no differences.
    ///
    /// - Returns: Its duration in seconds, by the database's clock.
    private func replayOnce(_ site: BenchmarkMachine.Site) async throws -> Double {
        let script = PostScript("/v1/replays", body: "{}")
        let started = try await LoadGenerator(site.server.target, connections: 1).run(script, expected: 202)
        guard started.failures.isEmpty else { throw BenchmarkError("a replay was refused: \(started.failures)") }
        let end = ContinuousClock.now + .seconds(1_200)
        while ContinuousClock.now < end {
            let rows = try await site.ours.query(
                Query(
                    """
                    select replay.state, extract(epoch from finished_at - created_at)::float8,
                        (select sum(difference_count)::bigint from ledger.replay_job where replay = replay.job_id)
                    from ledger.replay as replay
                    order by created_at desc
                    limit 1
                    """))
            let state = try rows[0].decode(0, as: String.self)
            if state == "done" {
                guard try rows[0].decodeIfPresent(2, as: Int64.self) ?? 0 == 0 else {
                    throw BenchmarkError("the replay found differences")
                }
                return try rows[0].decode(1)
            }
            guard state == "running" else { throw BenchmarkError("the replay ended as \(state)") }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw BenchmarkError("the replay did not end within 20 minutes")
    }

    /// Streams all events of a job as lines.
    ///
    /// - Returns: The number of bytes received.
    private func stream(_ site: BenchmarkMachine.Site, job: String) async throws -> Int {
        let target = site.server.target
        return try await Threads.run {
            let socket = try LoadSocket(target)
            defer { socket.end() }
            var request: [UInt8] = []
            request.appendRequest(
                "GET", "/v1/jobs/\(job)/events", headers: "Accept: application/x-ndjson\r\nConnection: close\r\n")
            _ = try socket.send(request[...])
            return try socket.drain()
        }
    }
}

/// A script that sends one POST request.
final class PostScript: LoadScript, @unchecked Sendable {
    private let path: String
    private let body: String
    private var isSent = false

    init(_ path: String, body: String) {
        self.path = path
        self.body = body
    }

    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep {
        guard !isSent else { return .end }
        isSent = true
        request.appendRequest("POST", path, body: Array(body.utf8))
        return .send
    }

    func didReceive(_ connection: Int, _ response: LoadResponse) {}
}
