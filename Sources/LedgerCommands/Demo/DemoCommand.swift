import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Play a demonstration job: several indicators, retries, a lost response and a zombie worker.",
        discussion: "Shows the numbers as they change, and checks at the end that they are right.")

    @Option(parsing: .unconditional, help: "The speed: 2 is twice as fast, 0 as fast as possible.")
    var speed: Double = 1

    @Flag(help: "Print only the last snapshot, as JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard speed == 0 || (0.01...1_000).contains(speed) else {
            throw ValidationError("--speed must be 0, or from 0.01 to 1000.")
        }
    }

    func run() async throws {
        let client = try server.client()
        let console = Console.standard
        let renderer = DemoRenderer(console: console)
        let player = DemoPlayer(client: client, pause: speed == 0 ? .zero : .milliseconds(300) / speed) { step, job in
            if !json { renderer.show(step, job) }
        }
        let job = try await player.play()
        if json {
            return console.print(
                try await client.sendForJSON(
                    .progress(job.id, minSequence: job.snapshot.sequence), as: JobView.self
                )
                .json)
        }
        renderer.finish(job)
        var history = DemoHistory()
        for try await event in client.eventStream(of: job.id) { history.add(event) }
        let address = "\(client.address)/v1/jobs/\(job.id)"
        let lines =
            [""] + history.lines(job) + [
                "", "Snapshot: curl \(address)/progress", "Events:   curl \(address)/events",
            ]
        for line in lines { console.print(line) }
    }
}
