import ArgumentParser
import Ledger
import LedgerStore
import LedgerWire

struct RetireCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retire",
        abstract: "Export old jobs, verify the exports, and remove the jobs' events from the ledger.",
        discussion: """
            Retires a single job, or all jobs that were created in a month, if they have ended. The events go to a file \
            in --folder, which is read back and verified before anything is removed. Names, keys, tags and the hashes of \
            the last events stay in the ledger, so this does not erase everything. Needs the login with which the ledger \
            is migrated. Can be interrupted at any time and run again. A month's events are moved to a table of their own; \
            --drop deletes it.
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

    private func run(_ retirer: Retirer, _ id: JobID?) async throws {
        if let id {
            let result = try await retirer.retire(id, exportsOnly: exportOnly)
            return show("\(id)", result ?? Retirer.Result(), wasRetired: result == nil)
        }
        var refusals: [CommandFailure] = []
        for month in try await months(retirer.store) {
            do {
                show("\(month)", try await retirer.retire(month, drops: drop, exportsOnly: exportOnly))
            } catch let failure as CommandFailure where failure.status == .refused && self.month == nil {
                Console.standard.printToError(VisibleText.escapeLines(failure.description))
                refusals.append(failure)
            }
        }
        guard refusals.isEmpty else {
            throw CommandFailure(.refused, "\(Count(refusals.count, "month")) could not be retired.")
        }
    }

    private func months(_ store: RetirementStore) async throws -> [Month] {
        if let month { return Month(month).map { [$0] } ?? [] }
        let last = try await store.lastMonth().advanced(by: -(keepMonths ?? 0))
        return try await store.months().filter { $0 <= last }
    }

    private func show(_ subject: String, _ result: Retirer.Result, wasRetired: Bool = false) {
        if json {
            var writer = JSONWriter()
            writer.object { writer in
                writer.field(job == nil ? "month" : "job", subject)
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
