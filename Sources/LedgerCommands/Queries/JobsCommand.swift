import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "List jobs, newest first.",
        discussion: """
            Shows the state, the percentage, the failed tasks, the rate and the finish of what the job waits for, and the \
            age. On a terminal, ids are cut to the beginnings that differ: 'show' and the other commands accept them, \
            and list the jobs if one has become ambiguous. If there are more jobs, the cursor of the next page is \
            printed to standard error.
            """)

    @Option(help: "List only jobs in this state.")
    var state: JobState?

    @Option(help: "List only jobs with exactly this name.")
    var name: String?

    @Option(help: "List only jobs with this text in their name, in any case, or as their key.")
    var search: String?

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
        search.search = self.search.map { Name($0) }
        search.key = key.map { Name($0) }
        search.tags = try TagOption.dictionary(tags)
        search.limit = limit
        search.cursor = cursor
        let (page, document, clock) = try await server.client().sendWithClock(.jobs(search), as: JobsPage.self)
        if json { return Console.standard.print(document) }
        Console.standard.print(JobsTable.layout(page.jobs, Console.standard.style, now: clock?.now()))
        if let next = page.nextCursor {
            Console.standard.printToError("There are more: --cursor \(VisibleText.escape(next))")
        }
    }
}
