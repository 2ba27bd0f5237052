import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Explain an indicator: what each execution reported, and what of it counts.",
        discussion: """
            Prints 'done/total' for each execution, then a line that accounts for every unit received. If there are \
            more executions, the cursor of the next page is printed to standard error.
            """)

    @OptionGroup var indicator: IndicatorOptions

    @Option(parsing: .unconditional, help: "The most executions to list, up to 1,000.")
    var limit: Int = 1_000

    @Option(help: "The start of the page: the cursor printed after the previous page.")
    var cursor: String?

    @OptionGroup var moment: PointInTimeOptions

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let (job, label) = try await indicator.resolve(client)
        let (explanation, document) = try await client.sendForJSON(
            .explain(
                job, label: label, policy: moment.policy, atSequence: moment.sequence,
                at: moment.at, limit: limit, cursor: cursor), as: Explanation.self)
        let console = Console.standard
        if json { return console.print(document) }
        console.print(Self.table(explanation.entries).layout(console.style))
        let indicator = explanation.indicator
        for line in Self.conservation(indicator, width: console.style?.width) { console.print(line) }
        if let next = explanation.nextCursor { console.printToError("There are more: --cursor \(next)") }
    }

    /// The sums of an indicator, on a line of their own each if one line is too short.
    ///
    /// - Parameter width: The width of the terminal; nil if the output is not a terminal.
    static func conservation(_ indicator: IndicatorState, width: Int?) -> [String] {
        let sums = [
            "received \(text(indicator.received))", "= counted \(text(indicator.counted))",
            "+ superseded \(text(indicator.superseded))", "+ discarded \(text(indicator.discarded))",
        ]
        let line = sums.joined(separator: " ")
        return line.utf8.count <= width ?? .max ? [line] : sums
    }

    private static func text(_ units: Units) -> String { "\(units.done)/\(units.total)" }

    static func table(_ entries: [Explanation.Entry]) -> Table {
        var table = Table([
            ("TASK", .left), ("EXECUTION", .left), ("ATTEMPT", .right), ("COUNTED", .right), ("SUPERSEDED", .right),
            ("DISCARDED", .right), ("WHY NOT", .left),
        ])
        table.optional = ["EXECUTION", "ATTEMPT"]
        table.cutsLines = true
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
        guard let winner = entry.supersededBy else { return "no execution of the task succeeded" }
        return "superseded by \(DifferenceText.executionText(winner))"
    }
}
