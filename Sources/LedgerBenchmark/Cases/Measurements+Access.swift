internal import LedgerStore

extension Measurements {
    // MARK: 11: what tokens and TLS cost

    private static let accessConnections = 64

    /// Measures single events and snapshots with a token, with TLS and without.
    func access(_ report: inout BenchmarkReport) async throws {
        let tls = try await machine.makeCertificate()
        for projects in [false, true] {
            try await machine.withSite(projects: projects) { open in
                try await machine.withSite(projects: projects, needsToken: true) { guarded in
                    try await machine.withSite(projects: projects, tls: tls) { encrypted in
                        let sites = [("a token", 0.97, guarded), ("TLS", 0.8, encrypted)]
                        if projects {
                            try await snapshots(&report, open, sites)
                        } else {
                            try await singles(&report, open, sites)
                        }
                    }
                }
            }
        }
    }

    private typealias AccessSite = (name: String, target: Double, site: BenchmarkMachine.Site)

    private func singles(
        _ report: inout BenchmarkReport, _ open: BenchmarkMachine.Site, _ sites: [AccessSite]
    ) async throws {
        try await compare(&report, "single events", unit: "events/s", expected: 201, open, sites) { stock in
            AppendScript(
                stock, .single, connections: Self.accessConnections, seconds: settings.seconds, prepared: 0)
        } proof: { site, stock in
            try await BenchmarkAssertion(site: site, stock: stock).run("row 11", folds: false)
        }
    }

    private func snapshots(
        _ report: inout BenchmarkReport, _ open: BenchmarkMachine.Site, _ sites: [AccessSite]
    ) async throws {
        try await compare(&report, "snapshots", unit: "responses/s", expected: 200, open, sites) { stock in
            ReadScript(stock, .snapshot, connections: Self.accessConnections, seconds: settings.seconds)
        } proof: { _, _ in
            nil
        }
    }

    /// Measures a load on each site, in turns with the open one.
    private func compare(
        _ report: inout BenchmarkReport, _ work: String, unit: String, expected: Int, _ open: BenchmarkMachine.Site,
        _ sites: [AccessSite], script: (JobStock) -> some LoadScript,
        proof: (BenchmarkMachine.Site, JobStock) async throws -> String?
    ) async throws {
        let openStock = try await makeStock(open)
        for (name, target, site) in sites {
            let stock = try await makeStock(site)
            for (site, stock) in [(open, openStock), (site, stock)] where expected == 200 {
                try await readEachOnce(site, stock)
            }
            var row = BenchmarkRow(
                "11", "\(work), \(Self.accessConnections) connections, with \(name) | without", unit: unit,
                target: target)
            var without = BenchmarkRow("11", work, unit: unit)
            var (latencies, limits) = (Latencies(), Latencies())
            for _ in 0..<settings.rounds {
                try await measure(
                    site, script(stock), connections: Self.accessConnections, expected: expected, events: 1,
                    into: &row, latencies: &latencies)
                try await measure(
                    open, script(openStock), connections: Self.accessConnections, expected: expected, events: 1,
                    into: &without, latencies: &limits)
            }
            row.limit = without.ours
            if let with = row.serverSeconds, let plain = without.serverSeconds {
                row.note =
                    "the server's processor time in the last round, with and without: "
                    + "\(Int(with)) and \(Int(plain)) s per million"
            }
            finish(&row, latencies, limit: limits)
            report.rows.append(row)
            if let sentence = try await proof(site, stock) { report.proofs.append(sentence) }
        }
        if let sentence = try await proof(open, openStock) { report.proofs.append(sentence) }
    }
}
