import ArgumentParser
import Ledger
import LedgerStore
import LedgerWire

struct ShardsMoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move", abstract: "Move a job to another shard.",
        discussion: """
            The events are copied, and their hash chain is verified. Requests about the job are then served from the new \
            shard; its id and its key stay the same. Appends to it wait while its last part is moved. If the command is \
            interrupted, the job is in exactly one of the shards: run it again. The login must have the role \
            progress_ledger_service.
            """)

    @Argument(help: "The job.")
    var job: String

    @Option(help: ArgumentHelp("The number of the shard to move it to.", valueName: "number"))
    var to: Int

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var options: ShardOptions

    func run() async throws {
        guard let id = JobID(job) else {
            throw CommandFailure(.usage, "Invalid job '\(VisibleText.escape(job))'. Expected the id of a job.")
        }
        try await ShardsCommand.with(options) { administration in
            show(try await administration.move(id, to: to))
        }
    }

    private func show(_ move: ShardAdministration.Move) {
        guard !json else {
            var writer = JSONWriter()
            writer.object { writer in
                writer.field("job", move.job.description)
                writer.field("from", move.from)
                writer.field("to", move.to)
                writer.field("events", move.position?.sequence.number)
                writer.field("hash", move.position?.hash.description)
            }
            return Console.standard.print(String(decoding: writer.bytes, as: UTF8.self))
        }
        guard let position = move.position else {
            return Console.standard.print("Job \(move.job) is in shard \(move.to) already.")
        }
        Console.standard.print(
            "Moved job \(move.job) from shard \(move.from) to shard \(move.to): events 1 to \(position.sequence), "
                + "the last with hash \(position.hash)")
    }
}
