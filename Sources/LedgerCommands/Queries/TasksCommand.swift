import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct TasksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "Show a job's tasks and the runs of each: which one counts, and what it reported.",
        discussion: """
            A line for each execution, the one that counts at the end of its task. Where there are more tasks, the \
            cursor with which the next page begins is told on standard error.
            """)

    @OptionGroup var job: JobOptions

    @Option(help: "Only tasks in this state.")
    var state: TaskState?

    @Option(help: "Tasks in the page, 1,000 at most.")
    var limit: Int = 100

    @Option(help: "Where the page begins: told at the end of the one before.")
    var cursor: String?

    @Flag(help: "Print JSON, as the server gives it.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        var search = TaskSearch()
        search.state = state
        search.limit = limit
        search.cursor = cursor
        let (page, document) = try await client.askForJSON(
            .tasks(try await job.resolve(client), search), as: TasksPage.self)
        if json { return Console.standard.print(document) }
        for line in Self.table(page.tasks).lines { Console.standard.print(line) }
        if let next = page.nextCursor { Console.standard.note("There are more: --cursor \(VisibleText.escape(next))") }
    }

    static func table(_ tasks: [TaskSummary]) -> Table {
        var table = Table([
            ("TASK", .left), ("EXECUTION", .left), ("ATTEMPT", .right), ("STATE", .left), ("COUNTS", .left),
            ("PROGRESS", .left),
        ])
        for task in tasks {
            for execution in task.executions {
                table.add([
                    task.name.text, execution.name?.text ?? "", String(execution.attempt),
                    execution.outcome?.rawValue ?? "running", Self.standing(execution),
                    execution.progress.map { "\($0.label?.text ?? "(default)"): \($0.units.done)/\($0.units.total)" }
                        .joined(separator: "  "),
                ])
            }
        }
        return table
    }

    private static func standing(_ execution: ExecutionSummary) -> String {
        guard execution.isCounted else { return "superseded" }
        return execution.isProvisional ? "provisionally" : "yes"
    }
}
