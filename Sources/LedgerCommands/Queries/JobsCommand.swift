import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs",
        abstract: "List jobs, newest first.",
        discussion: "Where there are more, the cursor of the next page is told on standard error.")

    @Option(help: "Only jobs in this state.")
    var state: JobState?

    @Option(help: "Only jobs of exactly this name.")
    var name: String?

    @Option(help: "Only the job with this key.")
    var key: String?

    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("Only jobs with this tag; may be repeated.", valueName: "name=value"))
    var tags: [TagOption] = []

    @Option(help: "Jobs in the page, 1,000 at most.")
    var limit: Int = 100

    @Option(help: "Where the page begins: told at the end of the one before.")
    var cursor: String?

    @Flag(help: "Print JSON, as the server gives it.")
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
        let (page, document) = try await server.client().askForJSON(.jobs(search), as: JobsPage.self)
        if json { return Console.standard.print(document) }
        for line in Self.table(page.jobs).lines { Console.standard.print(line) }
        if let next = page.nextCursor { Console.standard.note("There are more: --cursor \(VisibleText.escape(next))") }
    }

    static func table(_ jobs: [JobAnswer]) -> Table {
        var table = Table([("JOB", .left), ("STATE", .left), ("UPDATED", .left), ("PROGRESS", .left), ("NAME", .left)])
        for job in jobs {
            table.add([
                job.id.description, job.snapshot.state.rawValue, job.snapshot.updatedAt.map(RFC3339.text) ?? "",
                SnapshotText.lines(job.snapshot.indicators).joined(separator: "  "), job.description.name.text,
            ])
        }
        return table
    }
}
