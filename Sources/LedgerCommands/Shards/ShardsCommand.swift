import ArgumentParser
import FoundationEssentials
import LedgerStore
import LedgerWire
import Logging

struct ShardsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shards",
        abstract: "Divide a ledger among several databases.",
        discussion: """
            Each database is a shard with a number. The commands connect to the databases of the file of shards, with \
            logins that own the ledger. Migrate each database first: progress-ledger migrate --database ….
            """,
        subcommands: [
            ShardsListCommand.self, ShardsAddCommand.self, ShardsDrainCommand.self, ShardsMoveCommand.self,
            ShardsResumeCommand.self,
        ])

    /// Runs the body with access to the shards of the file.
    static func with(
        _ options: ShardOptions, _ body: (ShardAdministration) async throws -> Void
    ) async throws {
        let configuration = try Configuration(environment: ProcessInfo.processInfo.environment, filePath: nil)
        guard let file = try options.file(configuration) else {
            throw CommandFailure(.usage, "Name the file of shards with --shards.")
        }
        LogFormat.text.install(level: .warning)
        let administration = ShardAdministration(file.targets, logger: Logger(label: "progress-ledger"))
        let result: Result<Void, any Error>
        do { result = .success(try await body(administration)) } catch { result = .failure(error) }
        await administration.close()
        do { try result.get() } catch let error as StoreError {
            switch error.code {
            case .conflict, .severalShards, .invalid:
                throw CommandFailure(.refused, "Nothing was changed: \(error.message).")
            case .unknownJob: throw CommandFailure(.notFound, "Nothing was changed: \(error.message).")
            case .outcomeUnknown:
                throw CommandFailure(
                    .outcomeUnknown, "The outcome is unknown: \(error.message). Run the command again.")
            default: throw error
            }
        }
    }

    /// Prints the shards.
    static func show(_ administration: ShardAdministration, json: Bool) async throws {
        let shards = await administration.list()
        if json {
            var writer = JSONWriter()
            writer.object { writer in
                writer.name("shards")
                writer.array(shards) { writer, shard in
                    writer.object { writer in
                        writer.field("shard", shard.number)
                        writer.field("slots", shard.slots)
                        writer.field("map_version", shard.version)
                        writer.field("changing", shard.isChanging)
                        writer.field("migrated", !shard.isUnmigrated)
                        writer.field("database", shard.target)
                        writer.field("fault", shard.fault)
                    }
                }
            }
            Console.standard.print(String(decoding: writer.bytes, as: UTF8.self))
        } else {
            var table = Table([
                ("SHARD", .right), ("SLOTS", .right), ("MAP", .right), ("STATE", .left), ("DATABASE", .left),
            ])
            for shard in shards {
                table.add([
                    String(shard.number), String(shard.slots), shard.version.map(String.init) ?? "-", state(of: shard),
                    shard.target,
                ])
            }
            for line in table.lines { Console.standard.print(line) }
            for shard in shards {
                guard let fault = shard.fault else { continue }
                Console.standard.print("shard \(shard.number) is away: \(VisibleText.escape(fault))")
            }
        }
        guard shards.allSatisfy({ $0.fault == nil }) else { throw CommandFailure(.unavailable, "A shard is away.") }
        guard !shards.contains(where: \.isUnmigrated) else {
            throw CommandFailure(
                .schema, "A database is not migrated: run 'progress-ledger migrate --database …' for it.")
        }
        guard !shards.contains(where: \.isChanging) else {
            throw CommandFailure(
                .failed, "A change of the map is not complete: run 'progress-ledger shards resume'.")
        }
    }

    private static func state(of shard: ShardAdministration.Shard) -> String {
        if shard.fault != nil { return "away" }
        if shard.isUnmigrated { return "not migrated" }
        if shard.version == nil { return "not a shard" }
        if shard.isChanging { return "changing" }
        return shard.slots == 0 ? "drained" : "takes new jobs"
    }
}

struct ShardsListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the shards, with the slots of which they get the new jobs.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var options: ShardOptions

    func run() async throws {
        try await ShardsCommand.with(options) { try await ShardsCommand.show($0, json: json) }
    }
}

struct ShardsAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Let databases of the file take new jobs.",
        discussion: """
            The first shards include shard 0, which may contain jobs already: stop all servers and workers before, and \
            start them with --shards after it. Later shards must be empty, and are added while everything runs: first \
            restart all services with the new file. Nothing is copied.
            """)

    @Argument(help: "The numbers of the shards.")
    var numbers: [Int]

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var options: ShardOptions

    func run() async throws {
        try await ShardsCommand.with(options) { administration in
            try await administration.add(numbers)
            try await ShardsCommand.show(administration, json: json)
        }
    }
}

struct ShardsDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Give new jobs to the other shards.",
        discussion: "The jobs of the shard stay where they are, and are served and appended to as before.")

    @Argument(help: "The number of the shard.")
    var number: Int

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var options: ShardOptions

    func run() async throws {
        try await ShardsCommand.with(options) { administration in
            try await administration.drain(number)
            try await ShardsCommand.show(administration, json: json)
        }
    }
}

struct ShardsResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Complete a change of the map that was interrupted.",
        discussion: "Until then no job with a key is created. Any other command that changes the map completes it too.")

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var options: ShardOptions

    func run() async throws {
        try await ShardsCommand.with(options) { administration in
            try await administration.resume()
            try await ShardsCommand.show(administration, json: json)
        }
    }
}
