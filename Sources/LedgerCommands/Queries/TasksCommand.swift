import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct TasksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tasks",
        abstract: "List a job's tasks and their executions: which one counts, and what it reported.",
        discussion: """
            Prints one line per execution; the one that counts is the last of its task. If there are more tasks, the \
            cursor of the next page is printed to standard error.
            """)

    @OptionGroup var job: JobOptions

    @Option(help: "List only tasks in this state.")
    var state: TaskState?

    @Flag(help: "List only tasks with a silent execution: one that has sent nothing for longer than plausible.")
    var silent = false

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
        search.state = state
        search.onlySilent = silent
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

    /// The width of a terminal below which words are shortened.
    private static let wide = 110

    /// The table of tasks and executions.
    ///
    /// - Parameters:
    ///   - style: The terminal's capabilities; nil if the output is not a terminal.
    ///   - now: The server's time. Without it, silent executions are not marked.
    static func table(_ tasks: [TaskSummary], _ style: TerminalStyle? = nil, now: Timestamp? = nil) -> Table {
        let isNarrow = style.map { $0.width < wide } ?? false
        // Without authentication there are no reporters.
        let hasReporters = tasks.contains { $0.executions.contains { $0.reporter != nil } }
        let hasMessages = tasks.contains { $0.executions.contains { $0.message != nil } }
        let hasLinks = tasks.contains { $0.executions.contains { $0.link != nil } }
        var columns: [(title: String, alignment: Table.Alignment)] = [
            ("TASK", .left), ("EXECUTION", .left), ("ATTEMPT", .right), ("STATE", .whole), ("COUNTS", .left),
        ]
        if hasReporters { columns.append(("REPORTER", .left)) }
        columns.append(("PROGRESS", .left))
        if hasMessages { columns.append(("MESSAGE", .left)) }
        if hasLinks { columns.append(("LINK", .link)) }
        var table = Table(columns)
        table.optional = ["EXECUTION", "REPORTER", "ATTEMPT"]
        table.cutsLines = true
        for task in tasks {
            for execution in task.executions {
                table.add(
                    [
                        task.name.text, execution.name?.text ?? "", String(execution.attempt),
                        state(execution, of: task, now, isNarrow: isNarrow), countsText(execution),
                    ] + (hasReporters ? [execution.reporter?.text ?? ""] : []) + [progress(execution)]
                        + (hasMessages ? [execution.message?.firstLine ?? ""] : [])
                        + (hasLinks ? [execution.link?.text ?? ""] : []),
                    colors: [
                        "STATE": execution.isCounted && execution.outcome == .failed
                            ? .red : execution.silentSince != nil ? .yellow : .plain
                    ])
            }
        }
        return table
    }

    private static func state(
        _ execution: ExecutionSummary, of task: TaskSummary, _ now: Timestamp?, isNarrow: Bool
    ) -> String {
        if let outcome = execution.outcome { return outcome.rawValue }
        // A superseded execution without an outcome may still run, as a zombie, or may be lost; the ledger cannot
        // detect which.
        guard execution.isCounted else { return "unfinished" }
        guard let now, let since = execution.silentSince else { return task.state.rawValue }
        if isNarrow { return "silent \(WatchMessages.age(of: since, at: now))" }
        return "running, \(SilentExecution.text(since, now: now))"
    }

    /// The most labels to list; an execution may have a thousand.
    private static let labelsMax = 20

    private static func progress(_ execution: ExecutionSummary) -> String {
        let parts = execution.progress.prefix(labelsMax).map { contribution in
            let label = contribution.label?.text ?? SnapshotText.unlabeled
            return "\(label): \(contribution.units.done)/\(contribution.units.total)"
        }
        let rest = execution.progress.count - parts.count
        return (parts + (rest > 0 ? ["+ \(rest) more"] : [])).joined(separator: "  ")
    }

    private static func countsText(_ execution: ExecutionSummary) -> String {
        guard execution.isCounted else { return "superseded" }
        return execution.isProvisional ? "provisionally" : "yes"
    }
}
