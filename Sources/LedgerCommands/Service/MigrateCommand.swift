import ArgumentParser
import LedgerStore
import LedgerWire
import PQ

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Bring the database's schema to this version.",
        discussion: """
            Safe to start at the same time from anywhere: one does the work, the others find it done. Refuses a \
            database that a newer version has migrated, and one whose applied migrations are not those of this build.
            """)

    @Flag(help: "Only tell; exit code 7 where the schema is not the one of this version.")
    var check = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        let configuration = try service.configuration()
        let choice = try service.databaseChoice(configuration)
        let logger = try service.makeLogger(configuration)
        if check, case .isPrivate(let folder) = choice, !DataFolder.holdsDatabase(folder) {
            // Only tells: opening the database would make it.
            let explanation = "there is no database yet: 'progress-ledger migrate' or 'serve' makes it"
            Console.standard.print(
                json ? Self.json(isCurrent: false, explanation) : "\(VisibleText.escape(folder)): \(explanation)")
            throw ExitCode(ExitStatus.schema.rawValue)
        }
        try await OpenDatabase.with(choice, logger: logger) { database in
            let migrator = Migrator(target: database.target, logger: logger)
            if check {
                let status = try await migrator.check()
                Console.standard.print(json ? Self.json(status) : "\(database.target): \(status.explanation)")
                guard case .current = status else { throw ExitCode(ExitStatus.schema.rawValue) }
            } else {
                let applied = try await migrator.migrate()
                Console.standard.print(json ? Self.json(applied: applied) : Self.text(applied: applied))
            }
        }
    }

    private static func text(applied: [String]) -> String {
        applied.isEmpty
            ? "The schema is the one of this version already."
            : "Applied \(applied.joined(separator: ", ")): the schema is the one of this version now."
    }

    private static func json(applied: [String]) -> String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.name("applied")
            writer.array(applied) { $0.string($1) }
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func json(_ status: SchemaStatus) -> String {
        if case .current = status { return json(isCurrent: true, status.explanation) }
        return json(isCurrent: false, status.explanation)
    }

    private static func json(isCurrent: Bool, _ explanation: String) -> String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("is_current", isCurrent)
            writer.field("explanation", explanation)
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
