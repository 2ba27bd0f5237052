internal import LedgerStore
internal import PQ

extension Measurements {
    // MARK: 8: watchers

    /// A set of watchers: many of one job, or ten of each of many jobs.
    private struct Audience {
        let name: String
        let jobs: Int
        let watchersOfEach: Int
        let eventsPerSecond: Int

        var count: Int { jobs * watchersOfEach }
    }

    /// Open files that are not watchers' connections, here and in the server.
    private static let otherFiles = 256

    private var audiences: [Audience] {
        let (ofOne, ofMany) = (settings.watchersOfOneJob, settings.watchersOfManyJobs)
        let jobs = max(1, ofMany / 10)
        return [
            Audience(
                name: "\(ofOne) watchers of one job", jobs: 1, watchersOfEach: ofOne, eventsPerSecond: 200),
            Audience(
                name: "\(jobs * 10) watchers of \(jobs) jobs", jobs: jobs, watchersOfEach: 10, eventsPerSecond: jobs),
        ]
    }

    func watching(_ report: inout BenchmarkReport) async throws {
        for audience in audiences { try await watching(audience, &report) }
    }

    private func watching(_ audience: Audience, _ report: inout BenchmarkReport) async throws {
        guard audience.count + Self.otherFiles <= settings.openFilesMax else {
            throw BenchmarkError(
                "\(audience.name) need as many open files and \(Self.otherFiles) more, but the system allows "
                    + "\(settings.openFilesMax); raise the hard limit (ulimit -Hn)")
        }
        try await machine.withSite(projects: true, watchersMax: audience.count) { site in
            let stock = try await makeStock(site, jobs: audience.jobs)
            let process = site.server.process
            let load = try WatchLoad(site.server.target, jobs: stock.jobs)
            // Memory for appending and folding does not count as the watchers'.
            ProcessUsage.resetPeak(of: process)
            _ = try await Threads.run { try load.append(perSecond: audience.eventsPerSecond, seconds: 1) }
            try await BenchmarkAssertion(site: site, stock: stock).waitUntilFolded()
            let before = ProcessUsage.peakMemory(of: process)

            try await Threads.run { try load.watch(each: audience.watchersOfEach) }
            var lag = BenchmarkRow(
                "8", "\(audience.name): from acknowledged to shown to the last, p99", unit: "ms", target: 250)
            lag.isCeiling = true
            ProcessUsage.resetPeak(of: process)
            var lags = Latencies()
            for _ in 0..<settings.rounds {
                let used = ProcessUsage.seconds(of: process)
                load.resetLags()
                let reached = try await Threads.run { [seconds = settings.seconds] in
                    let reached = try load.append(perSecond: audience.eventsPerSecond, seconds: seconds)
                    try load.waitUntilShown()
                    return reached
                }
                lag.ours.append(load.lagsOfLast.quantile(0.99) ?? 0)
                lags.add(load.lags)
                let processor = (ProcessUsage.seconds(of: process) - used) / settings.seconds * 100
                lag.note =
                    "\(Int(reached)) events/s and \(Int(Double(load.snapshots) / settings.seconds)) snapshots/s, "
                    + "\(Int(processor)) % of a processor"
            }
            lag.memory = ProcessUsage.peakMemory(of: process)
            finish(&lag, lags, limit: Latencies())

            var memory = BenchmarkRow("8", "\(audience.name): memory of each", unit: "kB", target: 16)
            memory.isCeiling = true
            memory.ours = [Double(ProcessUsage.peakMemory(of: process) - before) / Double(audience.count) / 1_000]
            memory.memory = lag.memory
            report.rows += [memory, lag]
            report.proofs.append(try await proveWatching(audience, load, site))
        }
    }

    /// Checks that the ledger contains exactly the acknowledged events.
    ///
    /// Every snapshot was compared when it arrived, and every watcher has received the last event.
    private func proveWatching(
        _ audience: Audience, _ load: WatchLoad, _ site: BenchmarkMachine.Site
    ) async throws -> String {
        let stored = try await site.ours.query(Query("select count(*) from ledger.event where type = 3"))[0]
            .decode(0, as: Int64.self)
        guard stored == load.acknowledged else {
            throw BenchmarkError(
                "row 8: \(load.acknowledged) events were acknowledged, but \(stored) are in the ledger")
        }
        return "row 8: each of \(audience.name) was shown all \(stored) acknowledged events in the end, and every "
            + "snapshot on the way showed the sum of the events up to its sequence"
    }
}
