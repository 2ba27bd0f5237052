import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Recompute the projections from the events and compare them with the live ones.",
        discussion: """
            Appends and reads continue during a replay. If anything differs, the command lists it and exits with code \
            9. --apply replaces the live projections of all jobs with the recomputed ones, in one transaction. Only \
            one replay can run at a time.
            """,
        subcommands: [
            ReplayRunCommand.self, ReplayListCommand.self, ReplayShowCommand.self, ReplayRevertCommand.self,
            ReplayDropCommand.self,
        ],
        defaultSubcommand: ReplayRunCommand.self)
}

struct ReplayRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Start a replay of one job or all jobs, and follow it. The default subcommand.",
        discussion: "Ctrl-C does not stop the replay. 'replay show ID' follows it again; 'replay drop ID' cancels it.")

    @Argument(help: "The job's id, or its exact key. Default: all jobs.")
    var job: String?

    @Option(help: "The job's key, instead of its id.")
    var key: String?

    @Option(help: "The counting policy. Policies other than last compare numbers and cannot be applied.")
    var policy: CountingPolicy = .last

    @Flag(help: "Replace the live projections with the recomputed ones.")
    var apply = false

    @Flag(help: "Start the replay, print its id and exit.")
    var noWait = false

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func validate() throws {
        guard job == nil || key == nil else { throw ValidationError("Give the job's id or its --key, not both.") }
        guard !apply || policy == .last else {
            throw ValidationError("--apply requires the policy last, the one of the stored snapshots.")
        }
    }

    func run() async throws {
        let client = try server.client()
        var only: JobID?
        if let key { only = try await JobOptions.find(key: key, client) }
        if let job { only = try await JobOptions.findExactly(job, client) }
        let (started, document) = try await client.sendForJSON(
            .beginReplay(Replay.Request(job: only, policy: policy, applies: apply)), as: Replay.self)
        if noWait {
            return Console.standard.print(json ? document : started.id.description)
        }
        try await ReplayFollower(client: client, json: json).follow(started.id)
    }
}

struct ReplayListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the newest replays.")

    @Option(parsing: .unconditional, help: "The most replays to list, up to 1,000.")
    var limit: Int = 20

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (list, document) = try await server.client().sendForJSON(.replays(limit: limit), as: ReplayList.self)
        if json { return Console.standard.print(document) }
        var table = Table([
            ("REPLAY", .whole), ("STARTED", .whole), ("STATE", .whole), ("POLICY", .left), ("OF", .left),
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
        Console.standard.print(table.lines(Console.standard.style))
    }
}

struct ReplayShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Follow a replay to its end and show its result.")

    @Argument(help: "The replay's id.")
    var replay: String

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ReplayFollower(client: try server.client(), json: json).follow(try ReplayFollower.parse(replay))
    }
}

struct ReplayRevertCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revert", abstract: "Restore the projections that were live before an applied replay.",
        discussion: "The earlier projections are brought up to date first, so no snapshot goes back in time.")

    @Argument(help: "The replay's id.")
    var replay: String

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let client = try server.client()
        let id = try ReplayFollower.parse(replay)
        _ = try await client.sendForJSON(.revertReplay(id), as: Replay.self)
        try await ReplayFollower(client: client, json: json).followRevert(of: id)
    }
}

struct ReplayDropCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop", abstract: "Cancel a running replay, or delete the data that an ended one keeps.",
        discussion: "A dropped replay can no longer be reverted. The live projections do not change.")

    @Argument(help: "The replay's id.")
    var replay: String

    @Flag(help: "Print the server's JSON.")
    var json = false

    @OptionGroup var server: ServerOptions

    func run() async throws {
        let (replay, document) = try await server.client().sendForJSON(
            .dropReplay(try ReplayFollower.parse(replay)), as: Replay.self)
        Console.standard.print(json ? document : Self.text(replay))
    }

    static func text(_ replay: Replay) -> String {
        let outcome =
            switch replay.state {
            case .running, .canceling:
                "canceling: its data are being deleted; follow it with 'progress-ledger replay show'"
            case .canceled: "canceled: its data are deleted; the live projections are unchanged"
            case .applied: "dropped: the earlier projections are deleted, and it can no longer be reverted"
            case .reverting: "reverting: the earlier projections are being restored"
            case .done, .reverted, .failed: "dropped: it ended as \(replay.state.rawValue) and keeps no data"
            }
        return "\(replay.id)  \(outcome)"
    }
}
