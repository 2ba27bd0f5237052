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
        abstract: "Measure the ledger beside what PostgreSQL does by itself.",
        discussion: """
            Starts a private, durable PostgreSQL in a folder of its own, measures ours and the limit in turn, several \
            rounds, and proves at the end that nothing was lost or counted twice. Prints medians, with the spread of \
            the ratio between rounds. Nothing else should run on the machine. Build it in release.
            """)

    @Flag(help: "A first look, in a minute and a half.")
    var quick = false

    @Flag(help: "Print everything that was measured, round by round, as JSON.")
    var json = false

    @Option(help: ArgumentHelp("Only these rows, such as 1,2,7.", valueName: "numbers"))
    var rows: String?

    @Option(parsing: .unconditional, help: "How often each is measured.")
    var rounds: Int?

    @Option(parsing: .unconditional, help: ArgumentHelp("How many events are replayed.", valueName: "events"))
    var replayEvents: Int?

    @Option(help: ArgumentHelp("Where the private PostgreSQL is made, and removed at the end.", valueName: "folder"))
    var data: String = "/tmp/progress-ledger-bench-\(getpid())"

    private var chosen: Set<Int>? {
        guard let rows else { return [] }
        let numbers = rows.split(separator: ",").map { Int($0) }
        guard !numbers.isEmpty, numbers.allSatisfy({ $0.map(Benchmark.numbers.contains) ?? false }) else { return nil }
        return Set(numbers.compactMap { $0 })
    }

    func validate() throws {
        guard chosen != nil else {
            throw ValidationError(
                "--rows takes numbers out of \(Benchmark.numbers.map(String.init).joined(separator: ", ")).")
        }
        if let rounds, !(1...100).contains(rounds) { throw ValidationError("--rounds is a number from 1 to 100.") }
        if let replayEvents, !(10_000...100_000_000).contains(replayEvents) {
            throw ValidationError("--replay-events is a number from 10000 to 100000000.")
        }
    }

    func run() async throws {
        guard mkdir(data, 0o755) == 0 else {
            throw CommandFailure(.usage, "\(data) cannot be made: \(String(cString: strerror(errno))).")
        }
        var settings = quick ? Benchmark.Settings.quick : Benchmark.Settings()
        settings.rows = chosen ?? []
        settings.openFilesMax = OpenFiles.allowAsManyAsPossible()
        if let rounds { settings.rounds = rounds }
        if let replayEvents { settings.replayEvents = replayEvents }
        let folder = data
        defer { remove(folder) }
        var logger = Logger(label: "progress-ledger.bench") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .warning
        let benchmark = Benchmark(settings: settings) { Console.standard.note($0) }
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

    /// Runs the body; where a signal comes, stops it and waits until it has put away what it had begun.
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
            Console.standard.note("progress-ledger: stopping the benchmark")
            do { try await group.waitForAll() } catch is CancellationError {} catch {
                Console.standard.note("progress-ledger: \(error)")
            }
            throw CommandFailure(.failed, "The benchmark was stopped before its end.")
        }
    }

    /// This program, which is what is measured.
    private static func program() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0, count < buffer.count else {
            throw CommandFailure(.failed, "This system does not tell where this program is; it needs Linux.")
        }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private func remove(_ folder: String) {
        do { try FileManager.default.removeItem(atPath: folder) } catch {
            Console.standard.note("progress-ledger: \(folder) could not be removed: \(error)")
        }
    }
}
