import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Recompute the projections from the events, beside the live ones, and say what differs.",
        discussion: """
            Appends and reads go on meanwhile. Nothing differs if all is well; where something does, the command ends \
            with code 9, and --apply puts what the events amount to in the place of what is shown, for all jobs at the \
            same moment. One replay at a time.
            """,
        subcommands: [
            ReplayRunCommand.self, ReplayListCommand.self, ReplayShowCommand.self, ReplayRevertCommand.self,
            ReplayDropCommand.self,
        ],
        defaultSubcommand: ReplayRunCommand.self)
}

struct ReplayRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Begin a replay, of one job or of all, and show it to its end. The default.",
        discussion: "Ctrl-C ends the showing, not the replay: 'replay show ID' takes it up, 'replay drop ID' cancels.")

    @Argument(help: "The job's id; every job unless told.")
    var job: String?

    @Option(help: "The job's key, instead of its id.")
    var key: String?

    @Option(help: "Which executions count. By another policy than last, numbers are only compared.")
    var policy: CountingPolicy = .last

    @Flag(help: "Put what was built in the place of what is live.")
    var apply = false

    @Flag(help: "Begin it, print it and leave.")
    var noWait = false

    @Flag(help: "Print JSON, as the server gives it.")
    var json = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard job == nil || key == nil else { throw ValidationError("Give the job's id or its --key, not both.") }
        guard !apply || policy == .last else {
            throw ValidationError("--apply takes effect by the policy last only, which is what snapshots are kept by.")
        }
    }

    func run() async throws {
        let client = try server.client()
        var only: JobID?
        if let key { only = try await JobOptions.find(key: key, client) }
        if let job { only = try JobOptions.parse(job) }
        let (begun, document) = try await client.askForJSON(
            .beginReplay(Replay.Request(job: only, policy: policy, applies: apply)), as: Replay.self)
        if noWait {
            return Console.standard.print(json ? document : begun.id.description)
        }
        try await ReplayFollower(client: client, json: json).follow(begun.id)
    }
}

struct ReplayListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the newest replays.")

    @Option(parsing: .unconditional, help: "How many at most, 1,000 at most.")
    var limit: Int = 20

    @Flag(help: "Print JSON, as the server gives it.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (list, document) = try await server.client().askForJSON(.replays(limit: limit), as: ReplayList.self)
        if json { return Console.standard.print(document) }
        var table = Table([
            ("REPLAY", .whole), ("BEGUN", .whole), ("STATE", .whole), ("POLICY", .left), ("OF", .left),
            ("JOBS", .right),
            ("EVENTS", .right), ("DIFFERENCES", .right), ("KEEPS", .left),
        ])
        for replay in list.replays {
            table.add([
                replay.id.description, RFC3339.text(replay.createdAt), replay.state.rawValue,
                replay.request.policy.rawValue, replay.request.job?.description ?? "all",
                "\(replay.jobs.done)/\(replay.jobs.total)", "\(replay.events.done)/\(replay.events.total)",
                String(replay.differenceCount), replay.keeps ? "yes" : "",
            ])
        }
        for line in table.lines(Console.standard.style) { Console.standard.print(line) }
    }
}

struct ReplayShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a replay to its end, and what it has found.")

    @Argument(help: "The replay's id.")
    var replay: String

    @Flag(help: "Print JSON, as the server gives it.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ReplayFollower(client: try server.client(), json: json).follow(try ReplayFollower.parse(replay))
    }
}

struct ReplayRevertCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revert", abstract: "Put back what was live before an applied replay.",
        discussion: "What was before has been kept, and is brought up to date first: no snapshot goes back in time.")

    @Argument(help: "The replay's id.")
    var replay: String

    @Flag(help: "Print JSON, as the server gives it.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let id = try ReplayFollower.parse(replay)
        _ = try await client.askForJSON(.revertReplay(id), as: Replay.self)
        try await ReplayFollower(client: client, json: json).followRevert(of: id)
    }
}

struct ReplayDropCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop", abstract: "Cancel a replay that is under way, or clear away what an ended one keeps.",
        discussion: "After an applied replay has been dropped it can no longer be reverted. What is live stays so.")

    @Argument(help: "The replay's id.")
    var replay: String

    @Flag(help: "Print JSON, as the server gives it.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (replay, document) = try await server.client().askForJSON(
            .dropReplay(try ReplayFollower.parse(replay)), as: Replay.self)
        Console.standard.print(json ? document : Self.text(replay))
    }

    static func text(_ replay: Replay) -> String {
        let outcome =
            switch replay.state {
            case .running, .canceling:
                "canceling: it clears away what it has built; 'progress-ledger replay show' follows it"
            case .canceled: "canceled: nothing of it is left, and what is live stays"
            case .applied: "dropped: what was live before it is cleared away, and it can no longer be reverted"
            case .reverting: "reverting: it puts back what was before"
            case .done, .reverted, .failed: "dropped: it has ended as \(replay.state.rawValue), and keeps nothing"
            }
        return "\(replay.id)  \(outcome)"
    }
}
