import ArgumentParser
import FoundationEssentials
import Glibc
import LedgerBenchmark
import LedgerWire
import Logging
import UnixSignals

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure the ledger and compare it with PostgreSQL alone.",
        discussion: """
            Starts a private, durable PostgreSQL in its own folder. Measures the ledger and the PostgreSQL limit \
            alternately, in several rounds, and then checks that no event was lost or counted twice. Prints medians, \
            and the spread of the ratio between rounds. Use a release build, and run nothing else on the machine.
            """)

    @Flag(help: "Run a short benchmark of about three minutes.")
    var quick = false

    @Flag(help: "Print all measurements, round by round, as JSON.")
    var json = false

    @Option(help: ArgumentHelp("Measure only these rows, such as 1,2,7. Default: all.", valueName: "numbers"))
    var rows: String?

    @Option(
        help: ArgumentHelp(
            "The numbers of shards to compare with one database in row 12. Default: 1,2,4.", valueName: "numbers"))
    var shards: String?

    @Option(parsing: .unconditional, help: "The number of rounds per row. Default: 3; 1 with --quick.")
    var rounds: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The number of events to replay. Default: 5,000,000; 100,000 with --quick.", valueName: "events"))
    var replayEvents: Int?

    @Option(
        help: ArgumentHelp(
            "The folder of the private PostgreSQL; created at the start and removed at the end. Default: a folder in /tmp.",
            valueName: "folder"))
    var data: String?

    private var selectedRows: Set<Int>? {
        guard let rows else { return [] }
        let numbers = rows.split(separator: ",").map { Int($0) }
        guard !numbers.isEmpty, numbers.allSatisfy({ $0.map(Benchmark.numbers.contains) ?? false }) else { return nil }
        return Set(numbers.compactMap { $0 })
    }

    private var selectedShards: [Int]? {
        guard let shards else { return [] }
        let numbers = shards.split(separator: ",").map { Int($0) }
        guard !numbers.isEmpty, numbers.allSatisfy({ $0.map((1...Benchmark.shardsMax).contains) ?? false }) else {
            return nil
        }
        return Set(numbers.compactMap { $0 }).sorted()
    }

    func validate() throws {
        guard selectedShards != nil else {
            throw ValidationError("--shards must list numbers from 1 to \(Benchmark.shardsMax).")
        }
        guard selectedRows != nil else {
            throw ValidationError(
                "--rows must list numbers from \(Benchmark.numbers.map(String.init).joined(separator: ", ")).")
        }
        if let rounds, !(1...100).contains(rounds) { throw ValidationError("--rounds must be from 1 to 100.") }
        if let replayEvents, !(10_000...100_000_000).contains(replayEvents) {
            throw ValidationError("--replay-events must be from 10000 to 100000000.")
        }
    }

    func run() async throws {
        // Not the option's default: the help, from which manual pages are made, is the same in every process.
        let folder = data ?? "/tmp/progress-ledger-bench-\(getpid())"
        guard mkdir(folder, 0o755) == 0 else {
            throw CommandFailure(
                .usage, "Cannot create the folder \(folder): \(String(cString: strerror(errno)).lowercased()).")
        }
        var settings = quick ? Benchmark.Settings.quick : Benchmark.Settings()
        settings.rows = selectedRows ?? []
        if let selectedShards, !selectedShards.isEmpty { settings.shards = selectedShards }
        settings.openFilesMax = OpenFiles.allowAsManyAsPossible()
        if let rounds { settings.rounds = rounds }
        if let replayEvents { settings.replayEvents = replayEvents }
        defer { remove(folder) }
        var logger = Logger(label: "progress-ledger.bench") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        let benchmark = Benchmark(settings: settings) { Console.standard.printToError($0) }
        let report: BenchmarkReport
        do {
            let program = try Self.program()
            report = try await Self.untilSignal { [logger] in
                try await benchmark.run(program: program, folder: folder, logger: logger)
            }
        } catch let error as BenchmarkError {
            throw CommandFailure(.failed, error.description)
        }
        if json {
            Console.standard.print(BenchmarkText.json(report))
        } else {
            for line in BenchmarkText.lines(report) { Console.standard.print(line) }
        }
    }

    /// Runs the body until it ends or a signal arrives.
    ///
    /// After a signal the body is cancelled, and the function waits until it has cleaned up.
    private static func untilSignal(
        _ body: @escaping @Sendable () async throws -> BenchmarkReport
    ) async throws -> BenchmarkReport {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        return try await withThrowingTaskGroup(of: BenchmarkReport?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                for await _ in signals { break }
                return nil
            }
            defer { group.cancelAll() }
            if let report = try await group.next() ?? nil { return report }
            group.cancelAll()
            Console.standard.printToError("progress-ledger: stopping the benchmark")
            do { try await group.waitForAll() } catch is CancellationError {} catch {
                Console.standard.printToError("progress-ledger: \(error)")
            }
            throw CommandFailure(.failed, "The benchmark was stopped before its end.")
        }
    }

    /// The path of this program, which is also the program to measure.
    private static func program() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0, count < buffer.count else {
            throw CommandFailure(
                .failed,
                "Cannot find the path of this program: /proc/self/exe is not readable. The benchmark requires Linux.")
        }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func remove(_ folder: String) {
        do { try FileManager.default.removeItem(atPath: folder) } catch {
            Console.standard.printToError("progress-ledger: cannot remove \(folder): \(error)")
        }
    }
}
