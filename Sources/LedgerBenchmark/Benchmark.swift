internal import LedgerStore
public import Logging

/// Measures the ledger beside what PostgreSQL does by itself, on the same machine in the same run.
///
/// A private, durable PostgreSQL; a server process of its own for each part; ours and its limit in turn, several rounds;
/// at the end of each part a proof that nothing was lost or counted twice.
public struct Benchmark: Sendable {
    /// How much is measured.
    public struct Settings: Sendable {
        /// How often each is measured.
        public var rounds = 3
        /// How long one measurement takes.
        public var seconds = 4.0
        /// How many events are replayed.
        public var replayEvents = 5_000_000
        /// How many watch one job, and how many watch many.
        public var watchersOfOneJob = 1_000
        public var watchersOfManyJobs = 10_000
        /// How many files may be open in this process and in those that it starts; each watcher takes one in both.
        public var openFilesMax = 1_024
        /// How far what is stored grows.
        public var growth = Scaling.full
        /// The numbers of the rows; empty for all.
        public var rows: Set<Int> = []

        public init() {}

        func wants(_ row: Int) -> Bool { rows.isEmpty || rows.contains(row) }

        /// For a first look, in a minute and a half.
        public static var quick: Settings {
            var settings = Settings()
            settings.rounds = 1
            settings.seconds = 1.5
            settings.replayEvents = 100_000
            settings.watchersOfOneJob = 200
            settings.watchersOfManyJobs = 1_000
            settings.growth = .quick
            return settings
        }
    }

    /// The rows there are.
    public static let numbers = Array(1...10)

    let settings: Settings
    let note: @Sendable (String) -> Void

    public init(settings: Settings, note: @escaping @Sendable (String) -> Void) {
        self.settings = settings
        self.note = note
    }

    /// Runs all of it.
    ///
    /// - Parameters:
    ///   - program: The `progress-ledger` whose `serve` is measured.
    ///   - folder: Where the private PostgreSQL is made; whoever calls removes it.
    public func run(program: String, folder: String, logger: Logger) async throws -> BenchmarkReport {
        // Where the run is cancelled PostgreSQL is started to the end all the same, and then stopped.
        let starting = Task { try await BenchmarkMachine.startPostgres(in: folder, logger: logger) }
        let postgres = try await starting.value
        do {
            try Task.checkCancellation()
            let machine = try await BenchmarkMachine(on: postgres, program: program, folder: folder, logger: logger)
            var report = BenchmarkReport()
            report.machine = MachineDescription.lines + (try await machine.settings())
            let bench = Measurements(machine: machine, settings: settings, note: note)
            if settings.wants(1) { try await bench.singles(&report) }
            if settings.wants(2) || settings.wants(3) || settings.wants(4) { try await bench.batches(&report) }
            if settings.wants(5) || settings.wants(7) { try await bench.lagAndReads(&report) }
            if settings.wants(6) || settings.wants(10) { try await bench.replay(&report) }
            if settings.wants(8) { try await bench.watching(&report) }
            if settings.wants(9) { try await bench.growth(&report) }
            report.rows = Self.numbers.filter(settings.wants).flatMap { number in
                report.rows.filter { $0.place == number }
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
