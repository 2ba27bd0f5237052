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

    @Flag(help: "Only tell; exit code 7 where the schema is not the one of this version, or is not protected.")
    var check = false

    @Flag(name: .customLong("print"), help: "Print the SQL for an administrator instead of running it.")
    var prints = false

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
        try await DatabaseConnection.with(choice, logger: logger) { database in
            let migrator = Migrator(target: database.target, logger: logger)
            if prints {
                Console.standard.print(try await migrator.script())
            } else if check {
                let status = try await migrator.check()
                let faults = try await migrator.guaranteeFaults()
                let lines = ["\(database.target): \(status.explanation)"] + faults
                Console.standard.print(json ? Self.json(status, faults) : lines.joined(separator: "\n"))
                guard case .current = status, faults.isEmpty else { throw ExitCode(ExitStatus.schema.rawValue) }
            } else {
                let outcome = try await migrator.bringUp()
                Console.standard.print(json ? Self.json(outcome) : Self.text(outcome))
                guard outcome.faults.isEmpty else { throw ExitCode(ExitStatus.schema.rawValue) }
            }
        }
    }

    private static func text(_ outcome: Migrator.MigrationResult) -> String {
        let applied =
            outcome.applied.isEmpty
            ? "The schema is the one of this version already."
            : "Applied \(outcome.applied.joined(separator: ", ")): the schema is the one of this version now."
        let lines =
            outcome.repaired.map { "Restored: \($0)." }
            + outcome.faults.map { "Not protected, and left for you to decide: \($0)." }
        return ([applied] + lines).joined(separator: "\n")
    }

    private static func json(_ outcome: Migrator.MigrationResult) -> String {
        var writer = JSONWriter()
        writer.object { writer in
            for (name, texts) in [
                ("applied", outcome.applied), ("repaired", outcome.repaired), ("guarantee_faults", outcome.faults),
            ] {
                writer.name(name)
                writer.array(texts) { $0.string($1) }
            }
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func json(_ status: SchemaStatus, _ faults: [String]) -> String {
        if case .current = status { return json(isCurrent: true, status.explanation, faults) }
        return json(isCurrent: false, status.explanation, faults)
    }

    private static func json(isCurrent: Bool, _ explanation: String, _ faults: [String] = []) -> String {
        var writer = JSONWriter()
        writer.object { writer in
            writer.field("is_current", isCurrent)
            writer.field("explanation", explanation)
            writer.name("guarantee_faults")
            writer.array(faults) { $0.string($1) }
        }
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
