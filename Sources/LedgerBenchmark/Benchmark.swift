internal import LedgerStore
public import Logging

/// A benchmark of the ledger against PostgreSQL alone, on the same machine.
///
/// It uses a private, durable PostgreSQL and a server process for each part. The ledger and its limit are measured
/// alternately, in several rounds. Each part ends with a check that no event was lost or counted twice.
public struct Benchmark: Sendable {
    /// The extent of the measurements.
    public struct Settings: Sendable {
        /// The number of rounds.
        public var rounds = 3
        /// The duration of one measurement, in seconds.
        public var seconds = 4.0
        /// The number of events to replay.
        public var replayEvents = 5_000_000
        /// The number of watchers of a single job.
        public var watchersOfOneJob = 1_000
        /// The number of watchers of many jobs, ten of each.
        public var watchersOfManyJobs = 10_000
        /// The limit of open files in this process and in its children.
        ///
        /// Each watcher takes one file in both.
        public var openFilesMax = 1_024
        /// The numbers of shards that are measured, in ascending order.
        public var shards = [1, 2, 4]
        /// The numbers of shards over which lists are measured.
        public var listShards = [1, 4, 32]
        /// The duration of one measurement with shards, in seconds.
        public var shardSeconds = 4.0
        /// The size of the preallocated log of each shard's PostgreSQL.
        public var shardLogMegabytes = 512
        /// The sizes of the stored ledgers.
        public var scaling = Scaling.full
        /// The numbers of the rows to measure; empty for all.
        public var rows: Set<Int> = []

        /// Creates the settings of a full benchmark.
        public init() {}

        func includes(_ row: Int) -> Bool { rows.isEmpty || rows.contains(row) }

        /// Settings for a benchmark of three minutes.
        public static var quick: Settings {
            var settings = Settings()
            settings.rounds = 1
            settings.seconds = 1.5
            settings.replayEvents = 100_000
            settings.watchersOfOneJob = 200
            settings.watchersOfManyJobs = 1_000
            settings.listShards = [1, 4, 8]
            settings.shardSeconds = 0.5
            settings.shardLogMegabytes = 64
            settings.scaling = .quick
            return settings
        }
    }

    /// The numbers of all rows.
    public static let numbers = Array(1...12)
    /// The maximum number of shards that can be measured.
    public static let shardsMax = 16

    let settings: Settings
    let log: @Sendable (String) -> Void

    /// Creates a benchmark.
    ///
    /// - Parameters:
    ///   - settings: The extent of the measurements.
    ///   - log: Called with a line of text after each measurement.
    public init(settings: Settings, log: @escaping @Sendable (String) -> Void) {
        self.settings = settings
        self.log = log
    }

    /// Runs the benchmark.
    ///
    /// - Parameters:
    ///   - program: The path of the `progress-ledger` program to measure.
    ///   - folder: The folder of the private PostgreSQL; the caller removes it.
    public func run(program: String, folder: String, logger: Logger) async throws -> BenchmarkReport {
        // If the benchmark is cancelled, PostgreSQL still starts completely and is then stopped.
        let starting = Task { try await BenchmarkMachine.startPostgres(in: folder, logger: logger) }
        let postgres = try await starting.value
        do {
            try Task.checkCancellation()
            let machine = try await BenchmarkMachine(on: postgres, program: program, folder: folder, logger: logger)
            var report = BenchmarkReport()
            report.machine = MachineDescription.lines + (try await machine.settings())
            let bench = Measurements(machine: machine, settings: settings, log: log)
            if settings.includes(1) { try await bench.singles(&report) }
            if settings.includes(2) || settings.includes(3) || settings.includes(4) { try await bench.batches(&report) }
            if settings.includes(5) || settings.includes(7) { try await bench.lagAndReads(&report) }
            if settings.includes(6) || settings.includes(10) { try await bench.replay(&report) }
            if settings.includes(8) { try await bench.watching(&report) }
            if settings.includes(9) { try await bench.scaling(&report) }
            if settings.includes(11) { try await bench.access(&report) }
            if settings.includes(12) { try await bench.shards(&report) }
            report.rows = Self.numbers.filter(settings.includes).flatMap { number in
                report.rows.filter { $0.sortNumber == number }
            }
            try await machine.stop()
            return report
        } catch {
            let stopping = Task { try await postgres.stop() }
            do { try await stopping.value } catch let second { logger.error("\(second)") }
            throw error
        }
    }
}
