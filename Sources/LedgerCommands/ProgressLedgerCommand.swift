public import ArgumentParser
import Glibc
import ProgressLedgerClient

/// The command line of the progress ledger.
public struct ProgressLedgerCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "progress-ledger",
        abstract: "The progress of distributed jobs, counted once, whatever fails on the way.",
        discussion: ExitStatus.help,
        groupedSubcommands: [
            CommandGroup(name: "Services", subcommands: [ServeCommand.self, ProjectCommand.self, MigrateCommand.self]),
            CommandGroup(name: "Questions", subcommands: [JobsCommand.self, ShowCommand.self, EventsCommand.self]),
            CommandGroup(name: "Reports", subcommands: [ReportCommand.self, DemoCommand.self]),
        ])

    public init() {}

    /// Does what the process's arguments ask for and ends the process with a meaningful code (``ExitStatus``).
    public static func runProcess() async -> Never {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            Glibc.exit(ExitStatus.done.rawValue)
        } catch let failure as CommandFailure {
            end(with: failure)
        } catch let error as LedgerClientError {
            end(with: CommandFailure(error))
        } catch let error where isOfArgumentParser(error) {
            exit(withError: error)
        } catch {
            end(with: CommandFailure(.failed, String(describing: error)))
        }
    }

    private static func end(with failure: CommandFailure) -> Never {
        Console.standard.note("progress-ledger: \(VisibleText.escapeLines(failure.description))")
        Glibc.exit(failure.status.rawValue)
    }

    /// Help, version, mistakes on the command line, and ends that need no words.
    private static func isOfArgumentParser(_ error: any Error) -> Bool {
        error is ExitCode || error is CleanExit || error is ValidationError || exitCode(for: error) == .validationFailure
            || exitCode(for: error) == .success
    }
}
