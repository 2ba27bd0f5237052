import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct FailedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failed",
        abstract: "List a job's failed tasks: which execution failed, when, and why.",
        discussion: """
            Prints one line per task with its last execution, the time of its last event, and the message and the link \
            that it reported. If there are more tasks, the cursor of the next page is printed to standard error.
            """)

    @OptionGroup var job: JobOptions

    @Option(parsing: .unconditional, help: "The most tasks to list, up to 1,000.")
    var limit: Int = 100

    @Option(help: "The start of the page: the cursor printed after the previous page.")
    var cursor: String?

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        var search = TaskSearch()
        search.state = .failed
        search.limit = limit
        search.cursor = cursor
        let (page, document, clock) = try await client.sendWithClock(
            .tasks(try await job.resolve(client), search), as: TasksPage.self)
        if json { return Console.standard.print(document) }
        let style = Console.standard.style
        Console.standard.print(Self.table(page.tasks, style, now: clock?.now()).layout(style))
        if let next = page.nextCursor {
            Console.standard.printToError("There are more: --cursor \(VisibleText.escape(next))")
        }
    }

    /// The table of failed tasks, with a column for links if there are any.
    ///
    /// - Parameters:
    ///   - style: The terminal's capabilities; nil if the output is not a terminal.
    ///   - now: The server's time, for ages.
    static func table(_ tasks: [TaskSummary], _ style: TerminalStyle? = nil, now: Timestamp? = nil) -> Table {
        let ageNow = style.map { $0.width < EventText.wide } ?? false ? now : nil
        let failures = tasks.compactMap { task in task.executions.last.map { (task.name, $0) } }
        let hasLinks = failures.contains { $0.1.link != nil }
        var table = Table(
            [("TASK", .left), ("EXECUTION", .left), ("ATTEMPT", .right), ("ENDED", .whole), ("MESSAGE", .left)]
                + (hasLinks ? [("LINK", .link)] : []))
        table.optional = ["EXECUTION", "ATTEMPT"]
        table.cutsLines = true
        for (task, execution) in failures {
            table.add(
                [
                    task.text, execution.name?.text ?? "", String(execution.attempt),
                    ageNow.map { "\(WatchMessages.age(of: execution.lastAt, at: $0)) ago" }
                        ?? RFC3339.text(execution.lastAt),
                    execution.message?.firstLine ?? "",
                ] + (hasLinks ? [execution.link?.text ?? ""] : []))
        }
        return table
    }
}
