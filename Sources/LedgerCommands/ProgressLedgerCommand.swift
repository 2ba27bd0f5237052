public import ArgumentParser
import Glibc

/// The command line of the progress ledger.
public struct ProgressLedgerCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "progress-ledger",
        abstract: "The progress of distributed jobs, counted once, whatever fails on the way.",
        discussion: ExitStatus.help,
        version: version,
        groupedSubcommands: [
            CommandGroup(
                name: "Services",
                subcommands: [ServeCommand.self, ProjectCommand.self, MigrateCommand.self, StatusCommand.self]),
            CommandGroup(
                name: "Questions",
                subcommands: [
                    JobsCommand.self, ShowCommand.self, WatchCommand.self, EventsCommand.self, TasksCommand.self,
                    ExplainCommand.self,
                    HistoryCommand.self, DifferenceCommand.self,
                ]),
            CommandGroup(
                name: "Audit",
                subcommands: [
                    VerifyCommand.self, AnchorCommand.self, ReplayCommand.self, ExportCommand.self, ImportCommand.self,
                ]),
            CommandGroup(name: "Reports", subcommands: [ReportCommand.self, DemoCommand.self]),
            CommandGroup(name: "Measures", subcommands: [BenchCommand.self]),
        ])

    /// The version of the server and its clients, which are released together.
    private static let version = "0.1.0"

    public init() {}

    /// Does what the process's arguments ask for and ends the process with a meaningful code (``ExitStatus``).
    public static func runProcess() async -> Never {
        var command: any ParsableCommand
        do {
            try requireReadableArguments()
            command = try parseAsRoot()
        } catch {
            // Help, too, and a mistake on the command line, with how to write it.
            exit(withError: error)
        }
        do {
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as any ErrorOfCommandLine {
            exit(withError: error)
        } catch  where exitCode(for: error) == .success {
            // What was asked for was help.
            exit(withError: error)
        } catch {
            let failure = CommandFailure(any: error)
            Console.standard.note("progress-ledger: \(VisibleText.escapeLines(failure.description))")
            Glibc.exit(failure.status.rawValue)
        }
        Glibc.exit(ExitStatus.done.rawValue)
    }
}

extension ProgressLedgerCommand {
    /// Swift puts a sign of its own in the place of what is no UTF-8, and so would make another label of it.
    private static func requireReadableArguments() throws {
        for number in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = CommandLine.unsafeArgv[number], String(validatingCString: argument) == nil else {
                continue
            }
            throw ValidationError("Argument \(number) is not UTF-8.")
        }
    }
}

/// What the library of the command line says by itself: a code that needs no words, help, or a mistake in an option.
private protocol ErrorOfCommandLine: Error {}

extension ExitCode: ErrorOfCommandLine {}
extension CleanExit: ErrorOfCommandLine {}
extension ValidationError: ErrorOfCommandLine {}
