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

    @Option(parsing: .unconditional, help: "Tasks in the page, 1,000 at most.")
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
        let (page, document, clock) = try await client.askWithClock(
            .tasks(try await job.resolve(client), search), as: TasksPage.self)
        if json { return Console.standard.print(document) }
        for line in Self.table(page.tasks, now: clock?.now()).lines(Console.standard.style) {
            Console.standard.print(line)
        }
        if let next = page.nextCursor { Console.standard.note("There are more: --cursor \(VisibleText.escape(next))") }
    }

    /// - Parameter now: The server's time; without it no silence is told.
    static func table(_ tasks: [TaskSummary], now: Timestamp? = nil) -> Table {
        var table = Table([
            ("TASK", .left), ("EXECUTION", .left), ("ATTEMPT", .right), ("STATE", .whole), ("COUNTS", .left),
            ("PROGRESS", .left),
        ])
        for task in tasks {
            for execution in task.executions {
                table.add([
                    task.name.text, execution.name?.text ?? "", String(execution.attempt),
                    state(execution, of: task, now), Self.standing(execution), progress(execution),
                ])
            }
        }
        return table
    }

    private static func state(
        _ execution: ExecutionSummary, of task: TaskSummary, _ now: Timestamp?
    ) -> String {
        if let outcome = execution.outcome { return outcome.rawValue }
        // A superseded one may run still, as a zombie, or have been lost: nobody has said.
        guard execution.isCounted else { return "unfinished" }
        guard task.state == .running, let now, SilentExecution.silence(of: execution, now: now) != nil else {
            return task.state.rawValue
        }
        return "running, \(SilentExecution.text(execution.lastAt, now: now))"
    }

    /// Labels that are listed; an execution may have a thousand.
    private static let labelsMax = 20

    private static func progress(_ execution: ExecutionSummary) -> String {
        let parts = execution.progress.prefix(labelsMax).map { contribution in
            let label = contribution.label?.text ?? SnapshotText.unlabeled
            return "\(label): \(contribution.units.done)/\(contribution.units.total)"
        }
        let rest = execution.progress.count - parts.count
        return (parts + (rest > 0 ? ["+ \(rest) more"] : [])).joined(separator: "  ")
    }

    private static func standing(_ execution: ExecutionSummary) -> String {
        guard execution.isCounted else { return "superseded" }
        return execution.isProvisional ? "provisionally" : "yes"
    }
}
