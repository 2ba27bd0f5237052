import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct ShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a job's progress: one line 'label: done/total' per indicator.",
        discussion: """
            On a terminal, a description of the job and bars are shown too; --plain leaves them out. The indicator \
            without a label is shown as (default). Control characters in names are shown as \\u{…}.
            """)

    @OptionGroup var job: JobOptions

    @Flag(help: "Print only the lines 'label: done/total', as if the output were not a terminal.")
    var plain = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Wait up to 5 s until the snapshot includes this sequence.", valueName: "sequence"))
    var minSequence: Int64?

    @OptionGroup var moment: PointInTimeOptions

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let id = try await job.resolve(client)
        let (job, document) = try await client.sendForJSON(
            .progress(
                id, minSequence: minSequence.map { EventSequence($0) }, policy: moment.policy,
                atSequence: moment.sequence, at: moment.at),
            as: JobView.self)
        let console = Console.standard
        if json { return console.print(document) }
        guard !plain, let style = console.style else {
            for line in SnapshotText.lines(job.snapshot.indicators) { console.print(line) }
            return
        }
        let silent = showsCurrentState && job.hasSilentExecutions ? try await SilentExecution.find(in: id, client) : []
        let bars = SnapshotText.bars(job.snapshot.indicators, style)
        for line in SnapshotText.header(job, style, silent: silent) + [""] + bars { console.print(line) }
    }

    /// Whether the current state is shown, and not a past one.
    private var showsCurrentState: Bool { moment.atSequence == nil && moment.at == nil }
}
