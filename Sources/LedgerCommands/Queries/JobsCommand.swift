import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "List jobs, newest first.",
        discussion: "If there are more jobs, the cursor of the next page is printed to standard error.")

    @Option(help: "List only jobs in this state.")
    var state: JobState?

    @Option(help: "List only jobs with exactly this name.")
    var name: String?

    @Option(help: "List only the job with this key.")
    var key: String?

    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("List only jobs with this tag; may be repeated.", valueName: "name=value"))
    var tags: [TagOption] = []

    @Option(parsing: .unconditional, help: "The most jobs to list, up to 1,000.")
    var limit: Int = 100

    @Option(help: "The start of the page: the cursor printed after the previous page.")
    var cursor: String?

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        var search = JobSearch()
        search.state = state
        search.name = name.map { Name($0) }
        search.key = key.map { Name($0) }
        search.tags = try TagOption.dictionary(tags)
        search.limit = limit
        search.cursor = cursor
        let (page, document, clock) = try await server.client().sendWithClock(.jobs(search), as: JobsPage.self)
        if json { return Console.standard.print(document) }
        for line in Self.lines(page.jobs, Console.standard.style, now: clock?.now()) { Console.standard.print(line) }
        if let next = page.nextCursor {
            Console.standard.printToError("There are more: --cursor \(VisibleText.escape(next))")
        }
    }

    /// The width of the progress column, in cells, if no terminal limits it.
    private static let progressWidth = 160
    /// The minimum width of the progress column on a terminal.
    private static let progressWidthMin = 12
    private static let nameWidthMax = 32
    /// The width of a terminal from which on the interval of a remaining time is shown.
    private static let wideEnough = 110
    private static let progressWidthOfNumbers = 20

    /// Whether a job will probably miss its deadline.
    private static func isLate(_ job: JobView, now: Timestamp?) -> Bool {
        guard let now, let deadline = job.description.deadline else { return false }
        return Lateness(job, deadline: deadline, usual: nil, now: now) != nil
    }

    /// The table, cut to the terminal's width.
    ///
    /// On a terminal, ages are shown instead of times. The remaining times have a column if there are any, and so have
    /// the failed tasks of all tasks.
    static func lines(_ jobs: [JobView], _ style: TerminalStyle?, now: Timestamp?) -> [String] {
        let updated = jobs.map { job in
            job.snapshot.updatedAt.map { moment in
                guard style != nil, let now else { return RFC3339.text(moment) }
                return WatchMessages.duration(.microseconds(now.microseconds - moment.microseconds)) + " ago"
            } ?? ""
        }
        let isNarrow = style.map { $0.width < wideEnough } ?? false
        let left = jobs.map { job in
            let isPlain = style.map { !$0.hasUnicode } ?? false
            let words = now.flatMap { RemainingText.text(job.estimate, now: $0, isPlain: isPlain) } ?? ""
            // In a narrow window, the interval would leave no room for the progress.
            let shown = isNarrow ? String(words.prefix { $0 != "(" }.dropLast(words.contains("(") ? 1 : 0)) : words
            return [shown, isLate(job, now: now) ? "late" : ""].filter { !$0.isEmpty }.joined(separator: ", ")
        }
        let hasLeft = left.contains { !$0.isEmpty }
        let failed = jobs.map { "\($0.snapshot.tasks.failed)/\($0.snapshot.tasks.total)" }
        let hasFailed = jobs.contains { $0.snapshot.tasks.failed > 0 }
        var progressWidth = Self.progressWidth
        if let style {
            let states = jobs.map(\.snapshot.state.rawValue.utf8.count).max() ?? 0
            let ages = updated.map(\.utf8.count).max() ?? 0
            let names = jobs.map { TerminalText.cells(VisibleText.escape($0.description.name.text)) }.max() ?? 0
            // An id has 36 cells; two cells separate columns.
            let remaining = hasLeft ? 2 + max(4, left.map { TerminalText.cells($0) }.max() ?? 0) : 0
            let failures = hasFailed ? 2 + max(6, failed.map(\.utf8.count).max() ?? 0) : 0
            let rest = style.width - 36 - max(5, states) - max(7, ages) - remaining - failures - 4 * 2
            progressWidth = max(progressWidthMin, rest - min(names, nameWidthMax, max(progressWidthMin, rest / 2)))
        }
        var table = Table(
            [("JOB", .whole), ("STATE", .whole)] + (hasFailed ? [("FAILED", .right)] : []) + [("UPDATED", .whole)]
                + (hasLeft ? [("LEFT", .whole)] : []) + [("PROGRESS", .left), ("NAME", .left)])
        for (index, job) in jobs.enumerated() {
            // A number that is cut is useless. In a narrow column, the job's percentage replaces the indicators.
            let progress =
                progressWidth < progressWidthOfNumbers
                ? job.snapshot.percent.map { "\($0)%" } ?? ""
                : SnapshotText.summary(job.snapshot.indicators, width: progressWidth)
            table.add(
                [job.id.description, job.snapshot.state.rawValue] + (hasFailed ? [failed[index]] : [])
                    + [updated[index]] + (hasLeft ? [left[index]] : []) + [progress, job.description.name.text])
        }
        return table.lines(style)
    }
}
