import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

/// How long, in seconds, a report is tried again: a server that starts anew is back by then.
private let usualPatience = 10

extension ReportCommand {
    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "start",
            abstract: "Start an execution and print its name.",
            discussion: """
                Every earlier execution of the task is superseded. What is not given, the ledger gives: a name that \
                nobody else has, and the next attempt. Exit code 4: a newer execution counts already.
                """)

        @OptionGroup var execution: ExecutionOptions

        @Flag(help: "Print JSON, as the server gives it.")
        var json = false

        @OptionGroup var server: ServerOptions

        func run() async throws {
            let (job, reference) = try execution.resolve()
            let (started, document) = try await server.client(usualPatience: usualPatience).askForJSON(
                .startExecution(reference, in: job), as: StartedExecution.self)
            // An execution that is known by its attempt alone has no name to print.
            if json { return Console.standard.print(document) }
            // As it is: a script gives it back to us.
            Console.standard.write((started.execution?.text ?? "") + "\n")
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Declare more units of work.")

        @Argument(help: "How many units more there are to do.")
        var units: Int64

        @OptionGroup var progress: ProgressOptions

        func run() async throws {
            try await progress.report(total: units, done: nil)
        }
    }

    struct Done: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "done", abstract: "Report units of work done.")

        @Argument(help: "How many units more are done.")
        var units: Int64

        @OptionGroup var progress: ProgressOptions

        func run() async throws {
            try await progress.report(total: nil, done: units)
        }
    }

    struct Finish: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "finish", abstract: "Report that the execution has ended.")

        @Argument(help: "How it ended: succeeded, failed or canceled.")
        var outcome: ExecutionOutcome

        @OptionGroup var append: AppendOptions
        @OptionGroup var execution: ExecutionOptions
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let (job, reference) = try execution.resolve()
            try await append.send(EventDraft(.executionFinished(reference, outcome)), to: job, server)
        }
    }

    /// What `add` and `done` have in common.
    struct ProgressOptions: ParsableArguments {
        @Option(help: "The indicator; without a label, the default one.")
        var label: String?

        @Option(
            parsing: .unconditional,
            help: ArgumentHelp("The script's own number of this report, unique in its execution.", valueName: "number"))
        var report: Int64?

        @OptionGroup var append: AppendOptions
        @OptionGroup var execution: ExecutionOptions
        @OptionGroup var server: ServerOptions

        func report(total: Int64?, done: Int64?) async throws {
            let (job, reference) = try execution.resolve()
            let progress = ProgressReport(
                reference: reference, report: report, label: label.map { Name($0) }, total: total, done: done)
            try await append.send(EventDraft(.progress(progress)), to: job, server)
        }
    }

    /// What is done with one event of an execution.
    struct AppendOptions: ParsableArguments {
        @Flag(
            help: """
                Wait for the verdict, 5 s at most, and end with code 4 where the report was superseded, with 2 where it \
                contradicts what was reported before.
                """)
        var wait = false

        @Flag(help: "Print JSON, as the server gives it.")
        var json = false

        func send(_ draft: EventDraft, to job: JobID, _ server: ServerOptions) async throws {
            let (appended, document) = try await server.client(usualPatience: usualPatience).askForJSON(
                .append([draft], to: job, awaitsVerdicts: wait), as: Appended.self)
            if json { Console.standard.print(document) }
            let recorded = "Recorded as event \(appended.sequences.lowerBound), but not counted:"
            switch appended.verdicts?.first {
            case .superseded:
                throw CommandFailure(
                    .superseded, "\(recorded) a newer execution of the task counts instead. Stop this one.")
            case .conflict:
                throw CommandFailure(
                    .refused,
                    "\(recorded) its execution has reported something else under this number, or has another attempt.")
            case .overLimit:
                throw CommandFailure(
                    .refused,
                    "\(recorded) its execution has \(Limits.labelsPerExecutionMax) labels, and this is one more.")
            case .counted, .duplicate, nil: break
            }
        }
    }
}

extension ReportCommand {
    struct JobReport: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "job", abstract: "Create or finish a job.", subcommands: [Create.self, FinishJob.self])
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create",
            abstract: "Create a job and print its id.",
            discussion: """
                With --key it may be repeated: the job that has the key and the same content already is found again. \
                Exit code 2: the key belongs to a job with other content.
                """)

        @Argument(help: "The job's name.")
        var name: String

        @Option(help: "A key of your own, unique in the ledger.")
        var key: String?

        @Option(name: .customLong("tag"), help: ArgumentHelp("A tag; may be repeated.", valueName: "name=value"))
        var tags: [TagOption] = []

        @Flag(help: "Print JSON, as the server gives it.")
        var json = false

        @OptionGroup var server: ServerOptions

        func run() async throws {
            let description = JobDescription(
                name: Name(name), key: key.map { Name($0) }, tags: try TagOption.dictionary(tags))
            let (job, document) = try await server.client(usualPatience: usualPatience).askForJSON(
                .createJob(description), as: JobAnswer.self)
            Console.standard.print(json ? document : job.id.description)
        }
    }

    struct FinishJob: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "finish", abstract: "Report that the job has ended.")

        @Argument(help: "How it ended: completed, failed or canceled.")
        var outcome: JobOutcome

        @Option(help: "The job's id. PROGRESS_LEDGER_JOB.")
        var job: String?

        @Flag(help: "Print JSON, as the server gives it.")
        var json = false

        @OptionGroup var server: ServerOptions

        func run() async throws {
            let job = try JobOptions.parse(job)
            let (_, document) = try await server.client(usualPatience: usualPatience).askForJSON(
                .append([EventDraft(.jobFinished(outcome))], to: job, awaitsVerdicts: false), as: Appended.self)
            if json { Console.standard.print(document) }
        }
    }
}
