import ArgumentParser
import Ledger
import ProgressLedgerClient

struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "List a job's events with their verdicts.",
        discussion: """
            If there are more events, the start of the next page is printed to standard error. --all streams the \
            complete history, whatever its size.
            """)

    enum Order: String, CaseIterable, ExpressibleByArgument {
        case asc, desc
    }

    @OptionGroup var job: JobOptions

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("List events after (with --order desc: before) this sequence.", valueName: "sequence"))
    var after: Int64?

    @Option(parsing: .unconditional, help: "The most events to list, up to 1,000.")
    var limit: Int = 100

    @Flag(help: "List all events instead of one page.")
    var all = false

    @Option(help: "The order of sequences.")
    var order: Order = .asc

    @Option(help: "List only events of this task.")
    var task: String?

    @Option(help: "List only events of executions with this name.")
    var execution: String?

    @Option(help: "List only progress on this indicator. An empty label is the default indicator.")
    var label: String?

    @Option(help: "List only events of this type.")
    var type: EventType?

    @Option(help: "List only events with this verdict.")
    var verdict: Verdict?

    @Flag(help: "Print the server's JSON: one page, or one line per event with --all.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let id = try await job.resolve(client)
        var search = EventSearch()
        search.after = after.map { EventSequence($0) }
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
        let (page, document, clock) = try await client.sendWithClock(.events(id, search), as: EventPage.self)
        if json { return Console.standard.print(document) }
        let style = Console.standard.style
        Console.standard.print(EventText.table(page.events, style, now: clock?.now()).layout(style))
        if let next = page.nextAfter { Console.standard.printToError("There are more: --after \(next)") }
    }

    private func printAll(_ client: LedgerClient, _ id: JobID, _ search: EventSearch) async throws {
        if json {
            for try await line in client.eventLines(of: id, search) {
                Console.standard.print(String(decoding: line, as: UTF8.self))
            }
        } else {
            // Columns are separated by tabs, because aligning them would require all lines first.
            for try await event in client.eventStream(of: id, search) {
                Console.standard.print(EventText.cells(event).map(VisibleText.escape).joined(separator: "\t"))
            }
        }
    }
}
