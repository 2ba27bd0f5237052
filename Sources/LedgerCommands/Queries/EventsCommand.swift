import ArgumentParser
import Ledger
import ProgressLedgerClient

struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Show a job's events and what became of each.",
        discussion: """
            Where there are more, the sequence after which the next page begins is told on standard error; --all \
            reads the whole history as a stream, whatever its size.
            """)

    enum Order: String, CaseIterable, ExpressibleByArgument {
        case asc, desc
    }

    @OptionGroup var job: JobOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Events after (with --order desc: before) this sequence.", valueName: "sequence"))
    var after: Int64?

    @Option(parsing: .unconditional, help: "Events in the page, 1,000 at most.")
    var limit: Int = 100

    @Flag(help: "All of them instead of a page.")
    var all = false

    @Option(help: "The order of sequences.")
    var order: Order = .asc

    @Option(help: "Only events of this task.")
    var task: String?

    @Option(help: "Only events of executions of this name.")
    var execution: String?

    @Option(help: "Only progress on this indicator; an empty label is the default one.")
    var label: String?

    @Option(help: "Only events of this type.")
    var type: EventType?

    @Option(help: "Only events with this verdict.")
    var verdict: Verdict?

    @Flag(help: "Print JSON as the server gives it: a page, or, with --all, a line for each event.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let id = try await job.resolve(client)
        var search = EventSearch()
        search.after = after
        search.isDescending = order == .desc
        search.task = task.map { Name($0) }
        search.execution = execution.map { Name($0) }
        search.indicator = label.map { EventSearch.Indicator(label: $0.isEmpty ? nil : Name($0)) }
        search.type = type
        search.verdict = verdict
        if all {
            try await printAll(client, id, search)
        } else {
            search.limit = limit
            try await printPage(client, id, search)
        }
    }

    private func printPage(_ client: LedgerClient, _ id: JobID, _ search: EventSearch) async throws {
        let (page, document) = try await client.askForJSON(.events(id, search), as: EventsPage.self)
        if json { return Console.standard.print(document) }
        var table = EventText.table()
        for event in page.events { table.add(EventText.cells(event)) }
        for line in table.lines(Console.standard.style) { Console.standard.print(line) }
        if let next = page.nextAfter { Console.standard.note("There are more: --after \(next)") }
    }

    private func printAll(_ client: LedgerClient, _ id: JobID, _ search: EventSearch) async throws {
        if json {
            for try await line in client.eventLines(of: id, search) {
                Console.standard.print(String(decoding: line, as: UTF8.self))
            }
        } else {
            // Nothing is aligned, because nothing is known yet of the lines to come: columns are separated by tabs.
            for try await event in client.eventStream(of: id, search) {
                Console.standard.print(EventText.cells(event).map(VisibleText.escape).joined(separator: "\t"))
            }
        }
    }
}
