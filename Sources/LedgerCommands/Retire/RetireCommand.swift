import ArgumentParser
import Ledger
import LedgerStore
import LedgerWire
import Logging

struct RetireCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retire",
        abstract: "Export old jobs, verify the exports, and remove the jobs' events from the ledger.",
        discussion: """
            Retires a single job, or all jobs that were created in a month, if they have ended. The events go to a file \
            in --folder, which is read back and verified before anything is removed. Names, keys, tags and the hashes of \
            the last events stay in the ledger, so this does not erase everything. Needs the login with which the ledger \
            is migrated. Can be interrupted at any time and run again. A month's events are moved to a table of their own; \
            --drop deletes it. With --shards, all shards export a month before one of them removes it.
            """)

    @Argument(help: "The job's id. Instead of a month.")
    var job: String?

    @Option(
        help: ArgumentHelp("Retire the jobs that were created in this month (UTC).", valueName: "yyyy-mm"))
    var month: String?

    @Option(
        help: ArgumentHelp("Retire all months but the last ones, the present one not counted.", valueName: "count"))
    var keepMonths: Int?

    @Option(help: ArgumentHelp("The folder for the exports.", valueName: "folder"))
    var folder: String

    @Option(
        help: ArgumentHelp(
            "The beginning of the place to record, to which the file's name is added, such as s3://archive/ledger/. "
                + "Default: the path of the folder.", valueName: "url"))
    var place: String?

    @Flag(help: "Only write and verify the exports, and remove nothing. Copy them, then run the command without this.")
    var exportOnly = false

    @Flag(help: "Delete the detached tables, if the folder still contains the exports.")
    var drop = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var service: ServiceOptions
    @OptionGroup var shards: ShardOptions

    func validate() throws {
        guard [job != nil, month != nil, keepMonths != nil].count(where: { $0 }) == 1 else {
            throw ValidationError("Give one of: a job, --month, --keep-months.")
        }
        guard job == nil || !drop else { throw ValidationError("--drop is for months.") }
        guard !exportOnly || !drop else { throw ValidationError("Give --export-only or --drop, not both.") }
        if let keepMonths, keepMonths < 0 { throw ValidationError("--keep-months must not be negative.") }
        if let month, Month(month) == nil { throw ValidationError("--month must be a month such as 2026-01.") }
    }

    func run() async throws {
        let id = try job.map { try JobOptions.parse($0) }
        let configuration = try service.configuration()
        if let file = try shardFile(configuration) {
            return try await run(file, id, logger: try service.makeLogger(configuration))
        }
        let choice = try service.databaseChoice(configuration)
        let logger = try service.makeLogger(configuration)
        let folder = try RetirementFolder(path: folder, place: place)
        if case .isPrivate(let path) = choice, !DataFolder.containsDatabase(path) {
            throw CommandFailure(
                .usage, "There is no database in \(path). Give the --data or the --database of the server.")
        }
        try await DatabaseConnection.with(choice, logger: logger) { database in
            try await SchemaCheck.run(
                database, mayMigrate: false, wait: DatabaseWait(limit: .zero, logger: logger), logger: logger)
            let store = try await RetirementStore(target: database.target, logger: logger)
            do {
                try await run(Retirer(store: store, folder: folder), id)
            } catch {
                await store.close()
                throw error
            }
            await store.close()
        }
    }

    /// The file of shards; nil for one database, which may be one of the shards.
    private func shardFile(_ configuration: Configuration) throws(CommandFailure) -> ShardFile? {
        let isOneDatabase = service.database != nil || service.data != nil
        guard !isOneDatabase || shards.shards == nil else {
            throw CommandFailure(.usage, "--shards names all databases: give it without --database and --data.")
        }
        return isOneDatabase ? nil : try shards.file(configuration)
    }

    /// Retires from all shards.
    private func run(_ file: ShardFile, _ id: JobID?, logger: Logger) async throws {
        let folder = try RetirementFolder(path: folder, place: place)
        var retirers: [(number: Int, retirer: Retirer)] = []
        let result: Result<Void, any Error>
        do {
            for (number, target) in file.targets.sorted(by: { $0.key < $1.key }) {
                try await SchemaCheck.run(
                    DatabaseConnection(target: target, isPrivate: false), mayMigrate: false,
                    wait: DatabaseWait(limit: .zero, logger: logger), logger: logger)
                let store = try await RetirementStore(target: target, logger: logger)
                retirers.append((number, Retirer(store: store, folder: folder, shard: number)))
            }
            result = .success(try await run(ShardedRetirer(shards: retirers), id))
        } catch { result = .failure(error) }
        for (_, retirer) in retirers { await retirer.store.close() }
        try result.get()
    }

    private func run(_ retirer: ShardedRetirer, _ id: JobID?) async throws {
        if let id {
            let (shard, result) = try await retirer.retire(id, exportsOnly: exportOnly)
            return show("\(id)", shard: shard, result ?? Retirer.Result(), wasRetired: result == nil)
        }
        guard let first = retirer.shards.first?.retirer.store else { return }
        let months =
            if let month { Month(month).map { [$0] } ?? [] } else {
                try await chosen(try await retirer.months(), first)
            }
        try await retireEach(of: months) { month in
            try await retirer.retire(month, drops: drop, exportsOnly: exportOnly) { shard, result in
                show("\(month)", shard: shard, result)
            }
        }
    }

    private func run(_ retirer: Retirer, _ id: JobID?) async throws {
        if let id {
            let result = try await retirer.retire(id, exportsOnly: exportOnly)
            return show("\(id)", result ?? Retirer.Result(), wasRetired: result == nil)
        }
        let months =
            if let month { Month(month).map { [$0] } ?? [] } else {
                try await chosen(try await retirer.store.months(), retirer.store)
            }
        try await retireEach(of: months) { month in
            show("\(month)", try await retirer.retire(month, drops: drop, exportsOnly: exportOnly))
        }
    }

    /// Retires months, those after a refused one too.
    private func retireEach(of months: [Month], _ retire: (Month) async throws -> Void) async throws {
        var refusals: [CommandFailure] = []
        for month in months {
            do { try await retire(month) } catch let failure as CommandFailure
                where failure.status == .refused && self.month == nil
            {
                Console.standard.printToError(VisibleText.escapeLines(failure.description))
                refusals.append(failure)
            }
        }
        guard refusals.isEmpty else {
            throw CommandFailure(.refused, "\(Count(refusals.count, "month")) could not be retired.")
        }
    }

    /// The months to retire with `--keep-months`.
    private func chosen(_ months: [Month], _ store: RetirementStore) async throws -> [Month] {
        let last = try await store.lastMonth().advanced(by: -(keepMonths ?? 0))
        return months.filter { $0 <= last }
    }

    private func show(
        _ subject: String, shard: Int? = nil, _ result: Retirer.Result, wasRetired: Bool = false
    ) {
        if json {
            var writer = JSONWriter()
            writer.object { writer in
                writer.field(job == nil ? "month" : "job", subject)
                if let shard { writer.field("shard", shard) }
                writer.field("retired_jobs", result.jobs)
                writer.name("exports")
                writer.array(result.files) { writer, file in
                    writer.object { writer in
                        writer.field("file", file.path)
                        writer.field("place", file.export.place)
                        writer.field("sha256", file.export.sha256.description)
                        writer.field("jobs", file.heads.count)
                    }
                }
            }
            return Console.standard.print(String(decoding: writer.bytes, as: UTF8.self))
        }
        let subject = shard.map { "\(subject)  shard \($0)" } ?? subject
        for file in result.files {
            Console.standard.print(
                "\(subject)  exported \(Count(file.heads.count, "job")) to \(VisibleText.escape(file.path)), SHA-256 "
                    + "\(file.export.sha256)")
        }
        guard !exportOnly else { return }
        Console.standard.print(
            wasRetired ? "\(subject)  was retired before" : "\(subject)  retired \(Count(result.jobs, "job"))")
    }
}
