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
        let (page, document) = try await client.sendForJSON(
            .tasks(try await job.resolve(client), search), as: TasksPage.self)
        if json { return Console.standard.print(document) }
        for line in Self.table(page.tasks).lines(Console.standard.style) { Console.standard.print(line) }
        if let next = page.nextCursor {
            Console.standard.printToError("There are more: --cursor \(VisibleText.escape(next))")
        }
    }

    /// The table of failed tasks, with a column for links if there are any.
    static func table(_ tasks: [TaskSummary]) -> Table {
        let failures = tasks.compactMap { task in task.executions.last.map { (task.name, $0) } }
        let hasLinks = failures.contains { $0.1.link != nil }
        var table = Table(
            [("TASK", .left), ("EXECUTION", .left), ("ATTEMPT", .right), ("ENDED", .whole), ("MESSAGE", .left)]
                // A link that is cut leads nowhere.
                + (hasLinks ? [("LINK", .whole)] : []))
        for (task, execution) in failures {
            table.add(
                [
                    task.text, execution.name?.text ?? "", String(execution.attempt), RFC3339.text(execution.lastAt),
                    execution.message?.firstLine ?? "",
                ] + (hasLinks ? [execution.link?.text ?? ""] : []))
        }
        return table
    }
}
