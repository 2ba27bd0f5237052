public import ArgumentParser
import Glibc
import LedgerHTTP

/// The command line of the progress ledger.
public struct ProgressLedgerCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "progress-ledger",
        abstract: "Track the progress of distributed jobs. Every unit counts once, even if workers or requests fail.",
        discussion: ExitStatus.help,
        version: ProductVersion.current.description,
        groupedSubcommands: [
            CommandGroup(
                name: "Services",
                subcommands: [
                    ServeCommand.self, ProjectCommand.self, MigrateCommand.self, TokenCommand.self,
                    NotifyCommand.self, RetireCommand.self, ShardsCommand.self, StatusCommand.self,
                ]),
            CommandGroup(
                name: "Queries",
                subcommands: [
                    JobsCommand.self, ShowCommand.self, WatchCommand.self, EventsCommand.self, TasksCommand.self,
                    FailedCommand.self, ExplainCommand.self, HistoryCommand.self, DifferenceCommand.self,
                    EstimatesCommand.self, MCPCommand.self,
                ]),
            CommandGroup(
                name: "Audit",
                subcommands: [
                    VerifyCommand.self, AnchorCommand.self, ReplayCommand.self, ExportCommand.self, ImportCommand.self,
                ]),
            CommandGroup(name: "Reports", subcommands: [ReportCommand.self, DemoCommand.self]),
            CommandGroup(name: "Benchmark", subcommands: [BenchCommand.self]),
        ])

    public init() {}

    /// Runs the command of the process's arguments and exits (``ExitStatus``).
    public static func runProcess() async -> Never {
        var command: any ParsableCommand
        do {
            try requireReadableArguments()
            command = try parseAsRoot()
        } catch {
            // Both a request for help and a mistake on the command line, with its usage.
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
            // A request for help.
            exit(withError: error)
        } catch {
            let failure = CommandFailure(any: error)
            Console.standard.printToError("progress-ledger: \(VisibleText.escapeLines(failure.description))")
            Glibc.exit(failure.status.rawValue)
        }
        Glibc.exit(ExitStatus.done.rawValue)
    }
}

extension ProgressLedgerCommand {
    /// Refuses arguments that are not UTF-8.
    ///
    /// Swift replaces invalid bytes by U+FFFD, which would report to another label than the one given. The arguments of
    /// a command that `report exec` runs are not read, but passed on byte for byte.
    private static func requireReadableArguments() throws {
        let runsCommand = Array(CommandLine.arguments.dropFirst().prefix(2)) == ["report", "exec"]
        for number in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = CommandLine.unsafeArgv[number] else { continue }
            if runsCommand, strcmp(argument, "--") == 0 { return }
            guard String(validatingCString: argument) == nil else { continue }
            throw ValidationError("Argument \(number) is not UTF-8.")
        }
    }
}

/// Errors that the argument parser prints: exit codes, help, invalid options.
private protocol ErrorOfCommandLine: Error {}

extension ExitCode: ErrorOfCommandLine {}
extension CleanExit: ErrorOfCommandLine {}
extension ValidationError: ErrorOfCommandLine {}
