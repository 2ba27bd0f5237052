internal import Ledger
internal import LedgerStore

extension Measurements {
    // MARK: 12: shards

    /// The number of PostgreSQL servers, over which all shards are spread.
    private static let shardMachines = 4
    private static let shardReaders = 64
    /// The number of jobs of a list.
    static let listSize = 100
    /// The connections to each shard of the server with the most shards.
    private static let connectionsOfMany = 6

    private static let killedShard = 3
    private static let steadyEventsPerSecond = 500
    private static let steadyConnections = 32

    /// A load that is measured with each number of shards.
    private struct ShardLoad {
        let name: String
        var unit = "events/s"
        let connections: Int
        var expected = 201
        var events = 1
        let script: (JobStock) -> any LoadScript
    }

    /// A server with a number of shards, nil for one database, and its jobs.
    private struct ShardSite {
        let shards: Int?
        let site: BenchmarkMachine.Site
        let stock: JobStock
    }

    /// Measures a ledger with several shards, in turns with one in one database.
    func shards(_ report: inout BenchmarkReport) async throws {
        var rows: [BenchmarkRow] = []
        var proofs: [String] = []
        try await ShardMachines.with(
            Self.shardMachines, logMegabytes: settings.shardLogMegabytes, program: machine.program,
            folder: machine.folder, logger: machine.logger
        ) { machines in
            for (projects, loads) in [(false, appending), (true, projecting)] {
                let sites = try await open(machines, [nil] + settings.shards, projects: projects)
                for load in loads { rows += try await compare(load, sites) }
                proofs += try await close(sites, machines, projects: projects)
            }
            let sites = try await open(machines, [nil] + settings.listShards, projects: true)
            rows += try await compare(list, sites)
            proofs += try await close(sites, machines, projects: true)
            try await killing(&rows, &proofs, machines)
        }
        report.rows += rows
        report.proofs += proofs
    }

    private var appending: [ShardLoad] {
        let seconds = settings.shardSeconds
        return [1, 64].map { connections in
            ShardLoad(
                name: "single events, \(connections) connection\(connections == 1 ? "" : "s")",
                connections: connections
            ) { stock in
                AppendScript(stock, .single, connections: connections, seconds: seconds, prepared: 0)
            }
        } + [
            ShardLoad(
                name: "batches of 1,000, NDJSON, one job", connections: Self.batchConnections, events: 1_000
            ) { stock in
                AppendScript(
                    stock, .batch(1_000, lines: true), connections: Self.batchConnections, seconds: seconds,
                    prepared: preparedBatches(in: seconds))
            },
            ShardLoad(
                name: "batches of 1,000, NDJSON, 1,000 jobs", connections: Self.batchConnections, events: 1_000
            ) { stock in
                AppendScript(
                    stock, .collected(1_000), connections: Self.batchConnections, seconds: seconds,
                    prepared: preparedBatches(in: seconds))
            },
        ]
    }

    private var projecting: [ShardLoad] {
        let seconds = settings.shardSeconds
        return [
            ShardLoad(
                name: "append and projection, NDJSON batches of 1,000", connections: Self.batchConnections,
                events: 1_000
            ) { stock in
                AppendScript(
                    stock, .batch(1_000, lines: true), connections: Self.batchConnections, seconds: seconds,
                    prepared: preparedBatches(in: seconds))
            },
            ShardLoad(
                name: "snapshots, \(Self.shardReaders) connections", unit: "responses/s",
                connections: Self.shardReaders, expected: 200
            ) { stock in
                ReadScript(stock, .snapshot, connections: Self.shardReaders, seconds: seconds)
            },
        ]
    }

    private var list: ShardLoad {
        let seconds = settings.shardSeconds
        return ShardLoad(
            name: "a list of \(Self.listSize) jobs, 1 connection", unit: "responses/s", connections: 1, expected: 200
        ) { stock in
            ReadScript(stock, .list, connections: 1, seconds: seconds)
        }
    }

    // MARK: Sites

    private func open(
        _ machines: ShardMachines, _ counts: [Int?], projects: Bool
    ) async throws -> [ShardSite] {
        let most = counts.compactMap { $0 }.max() ?? 1
        var sites: [ShardSite] = []
        for count in counts {
            // All servers together must not take more connections than PostgreSQL has.
            let site = try await machines.open(
                shards: count, projects: projects,
                connections: most > Self.shardMachines ? Self.connectionsOfMany : nil)
            sites.append(ShardSite(shards: count, site: site, stock: try await makeStock(site)))
        }
        return sites
    }

    private func close(
        _ sites: [ShardSite], _ machines: ShardMachines, projects: Bool
    ) async throws -> [String] {
        var proofs: [String] = []
        for one in sites {
            proofs.append(
                try await BenchmarkAssertion(site: one.site, stock: one.stock).run(
                    "row 12, \(Self.name(one.shards))", folds: projects))
            try await machines.close(one.site)
        }
        return proofs
    }

    private static func name(_ shards: Int?) -> String {
        shards.map { "\($0) shard\($0 == 1 ? "" : "s")" } ?? "one database"
    }

    // MARK: Measuring

    /// Measures a load on each site, in turns.
    ///
    /// The first site has one database.
    private func compare(_ load: ShardLoad, _ sites: [ShardSite]) async throws -> [BenchmarkRow] {
        var rows = sites.map { one in
            BenchmarkRow(
                "12", "\(load.name), \(Self.name(one.shards)) | one database", unit: load.unit,
                target: one.shards == 1 ? 0.97 : nil)
        }
        var latencies = sites.map { _ in Latencies() }
        var before: [(trips: Double, groups: Double)] = []
        for one in sites {
            if load.expected == 200 { try await readEachOnce(one.site, one.stock) }
            before.append(try await roundTrips(one.site))
        }
        for _ in 0..<settings.rounds {
            for (index, one) in sites.enumerated() {
                try await measure(
                    one.site, load.script(one.stock), connections: load.connections, expected: load.expected,
                    events: load.events, into: &rows[index], latencies: &latencies[index])
            }
        }
        for index in rows.indices.dropFirst() {
            rows[index].limit = rows[0].ours
            rows[index].limitPostgresSeconds = rows[0].postgresSeconds
            let after = try await roundTrips(sites[index].site)
            let groups = after.groups - before[index].groups
            if groups > 0 { rows[index].roundTrips = (after.trips - before[index].trips) / groups }
            finish(&rows[index], latencies[index], limit: latencies[0])
        }
        return Array(rows.dropFirst())
    }

    /// Measures appends to the jobs of three shards while the fourth is killed.
    private func killing(
        _ rows: inout [BenchmarkRow], _ proofs: inout [String], _ machines: ShardMachines
    ) async throws {
        let site = try await machines.open(shards: Self.shardMachines, projects: true)
        let all = try await makeStock(site)
        let owners = ShardMap.owners(adding: Array(0..<Self.shardMachines), to: nil)
        let others = all.jobs.filter { text in
            JobID(text).map { owners[ShardMap.slot(of: $0)] != Self.killedShard } ?? false
        }
        let stock = JobStock(jobs: others.count, tasks: Self.taskCount)
        stock.jobs = others
        let script = SteadyScript(
            stock, perSecond: Self.steadyEventsPerSecond, seconds: settings.shardSeconds * 2,
            connections: Self.steadyConnections)
        let target = site.server.target
        async let loaded = LoadGenerator(target, connections: Self.steadyConnections).run(
            script, expected: 201)
        try await Task.sleep(for: .seconds(settings.shardSeconds))
        let moment = ContinuousClock.now
        try machines.kill(Self.killedShard)
        let result = try await loaded
        guard result.failures.isEmpty else {
            throw BenchmarkError("row 12: jobs of other shards: responses by status \(result.failures)")
        }
        guard let before = script.longest(from: moment, before: true),
            let after = script.longest(from: moment, before: false)
        else { throw BenchmarkError("row 12: there were no appends before or after the fault") }
        var row = BenchmarkRow(
            "12",
            "the longest of \(Self.steadyEventsPerSecond) appends a second to other shards after kill -9 of one of "
                + "\(Self.shardMachines)", unit: "ms", target: 250)
        row.isCeiling = true
        row.ours = [after.inSeconds * 1_000]
        row.note = "the longest one before the fault took \(Int(before.inSeconds * 1_000)) ms; none failed"
        finish(&row, result.latencies, limit: Latencies())
        rows.append(row)
        try await machines.restart(Self.killedShard)
        proofs.append(
            try await BenchmarkAssertion(site: site, stock: stock).run("row 12, kill -9 of a shard", folds: true))
        try await machines.close(site)
    }
}
