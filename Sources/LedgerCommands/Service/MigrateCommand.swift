import ArgumentParser
import LedgerStore

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
        try await OpenDatabase.with(choice, logger: logger) { database in
            let migrator = Migrator(target: database.target, logger: logger)
            if check {
                let status = try await migrator.check()
                Console.standard.print(json ? Self.json(status) : "\(status)")
                if !status.isCurrent { throw ExitCode(ExitStatus.schema.rawValue) }
            } else {
                let applied = try await migrator.migrate()
                Console.standard.print(json ? Self.json(applied: applied) : Self.text(applied: applied))
            }
        }
    }

    private static func text(applied: [Int]) -> String {
        applied.isEmpty
            ? "The schema is the one of this version already."
            : "Applied: \(applied.map(String.init).joined(separator: ", ")). The schema is the one of this version now."
    }

    private static func json(applied: [Int]) -> String {
        "{\"applied\":[\(applied.map(String.init).joined(separator: ","))]}"
    }

    private static func json(_ status: MigrationStatus) -> String {
        "{\"is_current\":\(status.isCurrent),\"pending\":[\(status.pending.map(String.init).joined(separator: ","))]}"
    }
}
