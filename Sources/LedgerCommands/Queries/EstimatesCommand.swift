import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct EstimatesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "estimates",
        abstract: "Show how good the estimates of completed jobs were.",
        discussion: """
            ENDED INSIDE is the number of jobs that ended within the interval given at half of their duration. An ERROR \
            FACTOR of 1.2 means that a typical estimate of the remaining time was wrong by 20 % in one direction or the \
            other. OF 9 IN 10 is the error factor that nine of ten jobs stayed below. BEFORE 90 % and AFTER 10 % are the \
            shares of estimates after which the job ended before the 90 % bound, and after the 10 % bound. Both should \
            be 90 %.
            """)

    @Argument(help: "The name of the jobs.")
    var name: String

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (found, document) = try await server.client().sendForJSON(
            .trackRecord(of: Name(name)), as: NamedTrackRecord.self)
        if json { return Console.standard.print(document) }
        for line in Self.table(found).lines(Console.standard.style) { Console.standard.print(line) }
    }

    static func table(_ found: NamedTrackRecord) -> Table {
        var table = Table([
            ("JOBS", .right), ("ENDED INSIDE", .right), ("ERROR FACTOR", .right), ("OF 9 IN 10", .right),
            ("BEFORE 90 %", .right), ("AFTER 10 %", .right), ("NAME", .left),
        ])
        let record = found.record
        table.add([
            String(record.jobs), String(record.endedInside), factor(record.errorFactorP50),
            factor(record.errorFactorP90), percent(record.coverageP90), percent(record.coverageP10), found.name.text,
        ])
        return table
    }

    /// A number with two digits after the point; a dash without one.
    private static func factor(_ value: Double?) -> String {
        guard let value, value < 1e6 else { return value == nil ? "–" : "> 1000000" }
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    private static func percent(_ value: Double?) -> String {
        value.map { "\(Int(($0 * 100).rounded())) %" } ?? "–"
    }
}
