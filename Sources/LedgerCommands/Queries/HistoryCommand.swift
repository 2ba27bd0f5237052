import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Show the history of an indicator, every decrease with its cause.",
        discussion:
            "If there are more changes than --points, some are left out, but never a decrease."
    )

    @OptionGroup var indicator: IndicatorOptions

    @Option(
        parsing: .unconditional,
        help: "The most points to show, up to 10,000. Decreases are always shown, even beyond this limit.")
    var points: Int = 50

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let (job, label) = try await indicator.resolve(client)
        let (history, document, clock) = try await client.sendWithClock(
            .history(job, label: label, points: points), as: IndicatorHistory.self)
        if json { return Console.standard.print(document) }
        let style = Console.standard.style
        Console.standard.print(Self.table(history, style, now: clock?.now()).layout(style))
    }

    /// The table of points.
    ///
    /// - Parameters:
    ///   - style: The terminal's capabilities; nil if the output is not a terminal.
    ///   - now: The server's time, for ages.
    static func table(_ history: IndicatorHistory, _ style: TerminalStyle? = nil, now: Timestamp? = nil) -> Table {
        let ageNow = style.map { $0.width < EventText.wide } ?? false ? now : nil
        var table = Table([
            ("SEQUENCE", .right), (ageNow == nil ? "RECORDED" : "AGE", .whole), ("DONE", .right), ("TOTAL", .right),
            ("WHY IT FELL", .left),
        ])
        table.cutsLines = true
        for point in history.points {
            table.add([
                point.sequence.description,
                ageNow.map { WatchMessages.age(of: point.at, at: $0) } ?? RFC3339.text(point.at),
                String(point.counted.done),
                String(point.counted.total), point.cause.map(cause) ?? "",
            ])
        }
        return table
    }

    private static func cause(_ cause: IndicatorHistory.Cause) -> String {
        "−\(cause.lost.done)/\(cause.lost.total): \(cause.task) \(DifferenceText.executionText(cause.superseded)) superseded by "
            + DifferenceText.executionText(cause.execution)
    }
}
