import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Show why a number is what it is: what each execution reported, and what of it counts.",
        discussion: """
            A line 'done/total' for each execution, then the line in which every unit received is accounted for. \
            Where there are more executions, the cursor with which the next page begins is told on standard error.
            """)

    @OptionGroup var indicator: IndicatorOptions

    @Option(parsing: .unconditional, help: "Executions in the page, 1,000 at most.")
    var limit: Int = 1_000

    @Option(help: "Where the page begins: told at the end of the one before.")
    var cursor: String?

    @OptionGroup var moment: PointInTimeOptions

    @Flag(help: "Print JSON, as the server gives it.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let (job, label) = try await indicator.resolve(client)
        let (explanation, document) = try await client.askForJSON(
            .explain(
                job, label: label, policy: moment.policy, atSequence: moment.atSequence,
                at: moment.at, limit: limit, cursor: cursor), as: Explanation.self)
        let console = Console.standard
        if json { return console.print(document) }
        for line in Self.table(explanation.entries).lines(Console.standard.style) { console.print(line) }
        let indicator = explanation.indicator
        console.print(
            "received \(Self.text(indicator.received)) = counted \(Self.text(indicator.counted)) + superseded "
                + "\(Self.text(indicator.superseded)) + discarded \(Self.text(indicator.discarded))")
        if let next = explanation.nextCursor { console.note("There are more: --cursor \(next)") }
    }

    private static func text(_ units: Units) -> String { "\(units.done)/\(units.total)" }

    static func table(_ entries: [Explanation.Entry]) -> Table {
        var table = Table([
            ("TASK", .left), ("EXECUTION", .left), ("ATTEMPT", .right), ("COUNTED", .right), ("SUPERSEDED", .right),
            ("DISCARDED", .right), ("WHY NOT", .left),
        ])
        for entry in entries {
            table.add([
                entry.task.text, entry.execution.execution?.text ?? "", String(entry.execution.attempt),
                text(entry.counted), text(entry.superseded), text(entry.discarded), reason(entry),
            ])
        }
        return table
    }

    private static func reason(_ entry: Explanation.Entry) -> String {
        guard !entry.isCounted else { return "" }
        guard let winner = entry.supersededBy else { return "no run of the task has succeeded" }
        return "superseded by \(DifferenceText.run(winner))"
    }
}
