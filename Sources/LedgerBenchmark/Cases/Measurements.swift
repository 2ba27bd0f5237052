internal import LedgerStore
internal import PQ

/// The measurements, each with its own server and databases.
struct Measurements {
    static let jobCount = 1_000
    static let taskCount = 100
    static let batchConnections = 4

    let machine: BenchmarkMachine
    let settings: Benchmark.Settings
    let log: @Sendable (String) -> Void

    /// Creates jobs on a new server.
    func makeStock(_ site: BenchmarkMachine.Site, jobs: Int = jobCount) async throws -> JobStock {
        let stock = JobStock(jobs: jobs, tasks: Self.taskCount)
        let created = try await LoadGenerator(site.server.target, connections: min(16, jobs)).run(
            CreateScript(stock, count: jobs), expected: 201)
        guard created.responses == jobs else {
            throw BenchmarkError("jobs could not be created: responses by status \(created.failures)")
        }
        return stock
    }

    /// Measures one round of a load, with the resources that the processes used.
    ///
    /// - Parameters:
    ///   - tolerated: Another status, and the maximum number of responses with it. They are not counted.
    ///   - afterCheckpoint: Whether the round begins with a checkpoint, so that all rounds begin alike: after a
    ///     checkpoint, PostgreSQL writes each page completely at its first change.
    func measure(
        _ site: BenchmarkMachine.Site, _ script: some LoadScript, connections: Int, expected: Int, events: Int,
        tolerated: (status: Int, max: Int)? = nil, afterCheckpoint: Bool = true, into row: inout BenchmarkRow,
        latencies: inout Latencies
    ) async throws {
        if afterCheckpoint { for machine in site.machines { try await machine.checkpoint() } }
        ProcessUsage.resetPeak(of: site.server.process)
        let before = usage(site)
        let result = try await LoadGenerator(site.server.target, connections: connections).run(
            script, expected: expected)
        let failures = result.failures.filter { status, count in
            tolerated.map { status != $0.status || count > $0.max } ?? true
        }
        guard failures.isEmpty else {
            throw BenchmarkError("\(row.work): responses by status \(result.failures)")
        }
        guard result.responses > 0 else { throw BenchmarkError("\(row.work): no responses") }
        let millions = max(1e-9, Double(result.responses * events) / 1e6)
        row.ours.append(result.perSecond * Double(events))
        let after = usage(site)
        row.serverSeconds = (after.server - before.server) / millions
        row.postgresSeconds = (after.postgres - before.postgres) / millions
        row.memory = max(row.memory ?? 0, ProcessUsage.peakMemory(of: site.server.process))
        latencies.add(result.latencies)
    }

    /// The processor time of the server and of PostgreSQL until now, in seconds.
    func usage(_ site: BenchmarkMachine.Site) -> (server: Double, postgres: Double) {
        (
            ProcessUsage.seconds(of: site.server.process),
            site.machines.reduce(0) { $0 + ProcessUsage.secondsWithChildren(of: $1.postgresProcess) }
        )
    }

    func add(_ limit: LimitResult, to row: inout BenchmarkRow, latencies: inout Latencies) {
        row.limit.append(limit.perSecond)
        row.limitPostgresSeconds = limit.postgresSeconds / max(1e-9, Double(limit.count) / 1e6)
        latencies.add(limit.latencies)
    }

    func finish(_ row: inout BenchmarkRow, _ latencies: Latencies, limit: Latencies) {
        (row.p50, row.p99) = (latencies.quantile(0.5), latencies.quantile(0.99))
        (row.limitP50, row.limitP99) = (limit.quantile(0.5), limit.quantile(0.99))
        log("\(row.number)  \(row.work): \(Int(row.ours.median)) \(row.unit), limit \(Int(row.limit.median))")
    }

    // MARK: 1: single events

    /// A pgbench script that inserts one row, for as many jobs.
    private static func insertSQL(into table: LimitTable) -> String {
        """
        \\set s :s + 1
        \\set j random(1, 1000)
        insert into \(table.rawValue) (
            job_id, sequence, recorded_at, at, report, total, done, attempt, type, hash, task, execution, label, outcome
        ) values (
            (:prefix || lpad(to_hex(:j::bigint), 12, '0'))::uuid, :client_id * 10000000000::bigint + :s, now(), null,
            :s, 0, 1, 1, 3, '\\x0707070707070707070707070707070707070707070707070707070707070707', 'task-17',
            'task-17-1', 'rows', null
        );
        """
    }

    func singles(_ report: inout BenchmarkReport) async throws {
        try await machine.withSite(projects: false) { site in
            let stock = try await makeStock(site)
            try await LimitTable.createLean(in: site.limit)
            let first = try await site.limit.query(
                Query("select left(ledger.first_job_id(clock_timestamp())::text, 24)"))[0].decode(0, as: String.self)
            for (connections, target, leanTarget) in [
                (1, 0.8, 0.55), (8, nil, nil), (64, 1.5, 1.3), (256, 2.0, 1.6),
            ] as [(Int, Double?, Double?)] {
                let clients = min(64, connections)
                var row = BenchmarkRow(
                    "1", "single events, \(connections) connections | pgbench insert, \(clients)", unit: "events/s",
                    target: target)
                var lean = BenchmarkRow(
                    "1", "the same | pgbench insert into a table without checks and partitions, \(clients)",
                    unit: "events/s", target: leanTarget)
                var (ours, limit, leanLimit) = (Latencies(), Latencies(), Latencies())
                let before = try await roundTrips(site)
                for round in 0..<settings.rounds {
                    let script = AppendScript(
                        stock, .single, connections: connections, seconds: settings.seconds, prepared: 0)
                    try await measure(
                        site, script, connections: connections, expected: 201, events: 1, into: &row, latencies: &ours)
                    for table in [LimitTable.events, .lean] {
                        try await machine.checkpoint()
                        let found = try await machine.pgbench(
                            Self.insertSQL(into: table), database: site.limitName, clients: clients,
                            seconds: max(1, Int(settings.seconds)),
                            variables: [
                                ("prefix", first), ("s", "\((connections * 10 + round) * 10_000_000)"),
                            ])
                        if table == .events {
                            add(found, to: &row, latencies: &limit)
                        } else {
                            add(found, to: &lean, latencies: &leanLimit)
                        }
                    }
                }
                let after = try await roundTrips(site)
                row.roundTrips = (after.trips - before.trips) / max(1, after.groups - before.groups)
                finish(&row, ours, limit: limit)
                lean.ours = row.ours
                finish(&lean, ours, limit: leanLimit)
                report.rows += [row, lean]
            }
            report.proofs.append(try await BenchmarkAssertion(site: site, stock: stock).run("row 1", folds: false))
        }
    }

    /// The server's counters of append round trips and of the groups written in them.
    func roundTrips(_ site: BenchmarkMachine.Site) async throws -> (trips: Double, groups: Double) {
        let script = MetricsScript()
        _ = try await LoadGenerator(site.server.target, connections: 1).run(script, expected: 200)
        return (
            script.value("progress_ledger_append_round_trips_total"),
            script.value("progress_ledger_append_groups_total")
        )
    }

    // MARK: 2, 3 and 4: batches

    /// The events per second that are encoded before a load of batches begins.
    ///
    /// It exceeds the rate of any load, so that no request is encoded during the load.
    private static let preparedPerSecond = 300_000.0

    /// The number of batches of 1,000 events that are encoded before a load.
    func preparedBatches(in seconds: Double) -> Int { Int(Self.preparedPerSecond * seconds) / 1_000 }

    func batches(_ report: inout BenchmarkReport) async throws {
        var withoutProjection = 0.0
        try await machine.withSite(projects: false) { site in
            let stock = try await makeStock(site)
            try await LimitTable.createLean(in: site.limit)
            for (shape, size, name, target, leanTarget, jobs) in [
                (.batch(100, lines: false), 100, "JSON, one job", 0.3, nil, 1),
                (.batch(100, lines: true), 100, "NDJSON, one job", 0.3, nil, 1),
                (.batch(1_000, lines: false), 1_000, "JSON, one job", 0.5, 0.6, 1),
                (.batch(1_000, lines: true), 1_000, "NDJSON, one job", 0.5, 0.6, 1),
                (.collected(1_000), 1_000, "NDJSON, 1,000 jobs", 0.2, 0.35, 1_000),
            ] as [(AppendScript.Shape, Int, String, Double, Double?, Int)] {
                var row = BenchmarkRow(
                    jobs == 1 ? "2" : "3", "batches of \(size), \(name) | COPY of \(size) rows", unit: "events/s",
                    target: target)
                var lean = BenchmarkRow(
                    row.number, "the same | COPY of \(size) rows into a table without checks and partitions",
                    unit: "events/s", target: leanTarget)
                var (ours, limit, leanLimit) = (Latencies(), Latencies(), Latencies())
                let before = try await roundTrips(site)
                for round in 0..<settings.rounds {
                    let script = AppendScript(
                        stock, shape, connections: Self.batchConnections, seconds: settings.seconds,
                        prepared: Int(Self.preparedPerSecond * settings.seconds) / size)
                    try await measure(
                        site, script, connections: Self.batchConnections, expected: 201, events: size, into: &row,
                        latencies: &ours)
                    let firstSequence = Int64(report.rows.count * 100 + round + 1) * 1_000_000_000
                    for table in [LimitTable.events, .lean] {
                        try await machine.checkpoint()
                        let copy = CopyLimit(
                            machine: machine, database: site.limit, connections: Self.batchConnections, table: table)
                        let found = try await copy.run(
                            batch: size, jobs: jobs, seconds: settings.seconds, first: firstSequence)
                        if table == .events {
                            add(found, to: &row, latencies: &limit)
                        } else {
                            add(found, to: &lean, latencies: &leanLimit)
                        }
                    }
                }
                let after = try await roundTrips(site)
                row.roundTrips = (after.trips - before.trips) / max(1, after.groups - before.groups)
                if case .batch(1_000, lines: true) = shape { withoutProjection = row.ours.median }
                finish(&row, ours, limit: limit)
                lean.ours = row.ours
                finish(&lean, ours, limit: leanLimit)
                report.rows += [row, lean]
            }
            report.proofs.append(
                try await BenchmarkAssertion(site: site, stock: stock).run("rows 2 and 3", folds: false))
        }
        try await appendAndProjection(&report, withoutProjection: withoutProjection)
    }

    private func appendAndProjection(_ report: inout BenchmarkReport, withoutProjection: Double) async throws {
        try await machine.withSite(projects: true) { site in
            let stock = try await makeStock(site)
            var row = BenchmarkRow(
                "4", "append and projection, NDJSON batches of 1,000 | the same without projection", unit: "events/s",
                target: 0.7)
            var behind = BenchmarkRow("4", "until caught up after the last append", unit: "s", target: 1)
            behind.isCeiling = true
            var latencies = Latencies()
            for _ in 0..<settings.rounds {
                let script = AppendScript(
                    stock, .batch(1_000, lines: true), connections: Self.batchConnections, seconds: settings.seconds,
                    prepared: preparedBatches(in: settings.seconds))
                try await measure(
                    site, script, connections: Self.batchConnections, expected: 201, events: 1_000, into: &row,
                    latencies: &latencies)
                row.limit.append(withoutProjection)
                behind.ours.append(try await BenchmarkAssertion(site: site, stock: stock).waitUntilFolded().inSeconds)
            }
            finish(&row, latencies, limit: Latencies())
            report.rows += [row, behind]
            report.proofs.append(try await BenchmarkAssertion(site: site, stock: stock).run("row 4", folds: true))
        }
    }
}

/// A script that requests the server's metrics once.
final class MetricsScript: LoadScript, @unchecked Sendable {
    private var isSent = false
    private var text = ""

    func next(_ connection: Int, into request: inout [UInt8]) -> LoadStep {
        guard !isSent else { return .end }
        isSent = true
        request.appendRequest("GET", "/metrics")
        return .send
    }

    func didReceive(_ connection: Int, _ response: LoadResponse) {
        text = String(decoding: response.body, as: UTF8.self)
    }

    /// A metric, summed over the shards; 0 if it does not exist.
    func value(_ name: String) -> Double {
        text.split(separator: "\n").filter { $0.hasPrefix("\(name) ") || $0.hasPrefix("\(name){") }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +)
    }
}
