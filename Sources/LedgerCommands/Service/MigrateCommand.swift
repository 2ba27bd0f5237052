import ArgumentParser
import LedgerStore
import LedgerWire
import PQ

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Migrate the database schema to this version.",
        discussion: """
            Safe to run concurrently: one process migrates, the others find the work done. Refuses a database that a \
            newer version has migrated, and one whose applied migrations differ from those of this build.
            """)

    @Flag(help: "Only check; exit with code 7 if the schema does not match this version or is not protected.")
    var check = false

    @Flag(name: .customLong("print"), help: "Print the SQL for an administrator instead of running it.")
    var prints = false

    @Option(
        help: ArgumentHelp(
            "The user with which the services log in, if it is not the user of this connection.",
            discussion: """
                It gets the role progress_ledger_service, and settings in this database that keep commits durable.
                """,
            valueName: "user"))
    var login: String?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var service: ServiceOptions

    func run() async throws {
        let configuration = try service.configuration()
        let choice = try service.databaseChoice(configuration)
        let logger = try service.makeLogger(configuration)
        if check, case .isPrivate(let folder) = choice, !DataFolder.containsDatabase(folder) {
            // A check must not create the database, which opening it would do.
            let explanation = "there is no database yet; create it with 'progress-ledger migrate' or 'serve'"
            Console.standard.print(
                json ? Self.json(isCurrent: false, explanation) : "\(VisibleText.escape(folder)): \(explanation)")
            throw ExitCode(ExitStatus.schema.rawValue)
        }
        try await DatabaseConnection.with(choice, logger: logger) { database in
            let migrator = Migrator(target: database.target, serviceLogin: login, logger: logger)
            try await migrator.checkSession()
            if prints {
                Console.standard.print(try await migrator.script())
            } else if check {
                let status = try await migrator.check()
                let faults = try await migrator.guaranteeFaults()
                let lines = ["\(database.target): \(status.explanation)"] + faults
                Console.standard.print(json ? Self.json(status, faults) : lines.joined(separator: "\n"))
                guard case .current = status, faults.isEmpty else { throw ExitCode(ExitStatus.schema.rawValue) }
            } else {
                let outcome = try await migrator.migrateAndRepair()
                Console.standard.print(json ? Self.json(outcome) : Self.text(outcome))
                guard outcome.faults.isEmpty else { throw ExitCode(ExitStatus.schema.rawValue) }
            }
        }
    }

    private static func text(_ outcome: Migrator.MigrationResult) -> String {
        let applied =
            outcome.applied.isEmpty
            ? "The schema already matches this version."
            : "Applied \(outcome.applied.joined(separator: ", ")): the schema now matches this version."
        let lines =
            outcome.repaired.map { "Restored: \($0)." }
            + outcome.faults.map { "Not protected, please repair by hand: \($0)." }
            + outcome.administratorSQL.map { "For an administrator, if a pooler is used: \($0)" }
        return ([applied] + lines).joined(separator: "\n")
    }

    private static func json(_ outcome: Migrator.MigrationResult) -> String {
        var writer = JSONWriter()
        writer.object { writer in
            for (name, texts) in [
                ("applied", outcome.applied), ("repaired", outcome.repaired), ("guarantee_faults", outcome.faults),
                ("administrator_sql", outcome.administratorSQL),
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
