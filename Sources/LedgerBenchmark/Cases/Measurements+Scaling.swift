extension Measurements {
    // MARK: 9: growth

    /// The measurements at each size, in this order, with their units.
    private static let measurementKinds: [(name: String, unit: String)] = [
        ("row 1, 8 connections", "events/s"), ("row 1, 64 connections", "events/s"), ("row 4", "events/s"),
        ("row 7", "responses/s"),
    ]
    /// The minimum ratio to the smallest size: "within 1.3".
    private static let ratioMin = 1 / 1.3
    /// The share of the usual time for each measurement, because there are many.
    private static let timeShare = 0.25
    /// The share of this time for warming up, which is not measured.
    ///
    /// It fills caches and opens connections. Appends to many jobs warm up for an additional second per
    /// ``jobsWarmedPerSecond`` jobs, so that the measured server has been in use for a while.
    private static let warmUpShare = 0.3
    private static let jobsWarmedPerSecond = 20_000.0
    private static let readers = 64

    func scaling(_ report: inout BenchmarkReport) async throws {
        for axis in settings.scaling.axes { try await scaling(axis, &report) }
    }

    private func scaling(_ axis: Scaling.Axis, _ report: inout BenchmarkReport) async throws {
        var ledgers: [LargeLedgerFixture] = []
        for (number, size) in axis.sizes.enumerated() {
            let start = ContinuousClock.now
            ledgers.append(try await LargeLedgerFixture(machine, size, name: "bench_grown_\(number)"))
            log("9  \(size.name): filled in \(Int(start.duration(to: .now).inSeconds)) s")
        }
        var rows = ledgers.map { ledger in Self.rows(ledger.size, beside: axis.sizes[0]) }
        for _ in 0..<settings.rounds {
            var found: [[BenchmarkRow]] = []
            for ledger in ledgers { found.append(try await measure(ledger)) }
            for (number, figures) in found.enumerated() {
                for index in figures.indices { rows[number][index].addRound(figures[index], beside: found[0][index]) }
            }
        }
        report.rows += rows.dropFirst().joined()
        for row in rows.dropFirst().joined() {
            log("9  \(row.work): \(Int(row.ours.median)) \(row.unit), limit \(Int(row.limit.median))")
        }
        for ledger in ledgers {
            report.proofs.append(
                try await ledger.withServer(projects: true) { site in
                    try await BenchmarkAssertion(site: site, stock: ledger.stock).run(
                        "row 9, \(ledger.size.name)", folds: true)
                })
            try await ledger.drop()
        }
    }

    private static func rows(_ size: Scaling.Size, beside smallest: Scaling.Size) -> [BenchmarkRow] {
        measurementKinds.map { name, unit in
            BenchmarkRow("9", "\(name), \(size.name) | \(smallest.name)", unit: unit, target: ratioMin)
        }
    }

    /// Measures one ledger once, in the order of ``measurementKinds``.
    private func measure(_ ledger: LargeLedgerFixture) async throws -> [BenchmarkRow] {
        let stock = ledger.stock
        var rows: [BenchmarkRow] = []
        try await ledger.withServer(projects: false) { site in
            for connections in [8, 64] {
                rows.append(
                    try await measureWarm(
                        site, connections: connections, expected: 201, events: 1, jobs: stock.jobs.count
                    ) {
                        seconds in
                        AppendScript(stock, .single, connections: connections, seconds: seconds, prepared: 0)
                    })
            }
        }
        try await ledger.withServer(projects: true) { site in
            let proof = BenchmarkAssertion(site: site, stock: stock)
            try await proof.waitUntilFolded()
            rows.append(
                try await measureWarm(site, connections: Self.batchConnections, expected: 201, events: 1_000, jobs: 1) {
                    seconds in
                    AppendScript(
                        stock, .batch(1_000, lines: true), connections: Self.batchConnections, seconds: seconds,
                        prepared: 0)
                })
            try await proof.waitUntilFolded()
            try await readEachOnce(site, stock)
            rows.append(
                try await measureWarm(site, connections: Self.readers, expected: 200, events: 1, jobs: 0) {
                    seconds in
                    ReadScript(stock, .snapshot, connections: Self.readers, seconds: seconds)
                })
        }
        return rows
    }

    /// Measures a load after a shorter one that warms up caches and connections.
    private func measureWarm(
        _ site: BenchmarkMachine.Site, connections: Int, expected: Int, events: Int, jobs: Int,
        _ script: (_ seconds: Double) -> some LoadScript
    ) async throws -> BenchmarkRow {
        var row = BenchmarkRow("9", "", unit: "")
        let seconds = settings.seconds * Self.timeShare
        let warmingUp = seconds * Self.warmUpShare + Double(jobs) / Self.jobsWarmedPerSecond
        for (seconds, isFirst) in [(warmingUp, true), (seconds, false)] {
            row = BenchmarkRow("9", "", unit: "")
            var latencies = Latencies()
            try await measure(
                site, script(seconds), connections: connections, expected: expected, events: events,
                afterCheckpoint: isFirst, into: &row, latencies: &latencies)
            (row.p50, row.p99) = (latencies.quantile(0.5), latencies.quantile(0.99))
        }
        return row
    }
}

extension BenchmarkRow {
    /// Adds a round: the measurement and the one of the smallest size.
    fileprivate mutating func addRound(_ measured: BenchmarkRow, beside smallest: BenchmarkRow) {
        ours += measured.ours
        limit += smallest.ours
        (p50, p99) = (measured.p50, measured.p99)
        (limitP50, limitP99) = (smallest.p50, smallest.p99)
        (serverSeconds, postgresSeconds) = (measured.serverSeconds, measured.postgresSeconds)
        limitPostgresSeconds = smallest.postgresSeconds
        memory = max(memory ?? 0, measured.memory ?? 0)
    }
}
