import ArgumentParser
import Ledger
import LedgerWire
import ProgressLedgerClient

/// The default time to retry a report, in seconds: enough for a server's restart.
let defaultPatience = 10

extension ReportCommand {
    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "start",
            abstract: "Start an execution and print its name.",
            discussion: """
                Supersedes every earlier execution of the task. The ledger assigns a missing name (unique) and a \
                missing attempt (the next one). Exit code 4: a newer execution counts already. Exit code 11: the job is \
                canceled, and nothing was recorded.
                """)

        @OptionGroup var execution: ExecutionOptions

        @Option(help: ArgumentHelp("The URL of more information, such as a log.", valueName: "url"))
        var link: String?

        @Flag(help: "Start even if the job is canceled, which reopens it.")
        var reopen = false

        @Flag(help: "Print the server's JSON.")
        var json = false

        @OptionGroup var server: ServerOptions

        func run() async throws {
            let client = try server.client(defaultPatience: defaultPatience)
            let (job, reference) = try await execution.resolve(client)
            let (started, document) = try await client.sendForJSON(
                .startExecution(reference, in: job, link: link.map { Name($0) }, unlessCanceled: !reopen),
                as: StartedExecution.self)
            // An execution without a name, identified by its attempt alone, prints an empty line.
            if json { return Console.standard.print(document) }
            // Not escaped: the script passes the name back.
            Console.standard.write((started.execution?.text ?? "") + "\n")
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Declare more units of work.")

        @Argument(help: "The number of units to add to the total.")
        var units: Int64

        @OptionGroup var progress: ProgressOptions

        func run() async throws {
            try await progress.report(total: units, done: nil)
        }
    }

    struct Done: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "done", abstract: "Report units of work done.")

        @Argument(help: "The number of units to add to the units done.")
        var units: Int64

        @Option(
            parsing: .unconditional,
            help: ArgumentHelp(
                "How many of these units an earlier execution did, if this one resumes its work.", valueName: "units"))
        var carried: Int64?

        @OptionGroup var progress: ProgressOptions

        func run() async throws {
            try await progress.report(total: nil, done: units, carried: carried)
        }
    }

    struct Finish: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "finish", abstract: "Report that the execution has ended.")

        @Argument(help: "The outcome: succeeded, failed or canceled.")
        var outcome: ExecutionOutcome

        @OptionGroup var notes: NoteOptions
        @OptionGroup var append: AppendOptions
        @OptionGroup var execution: ExecutionOptions
        @OptionGroup var server: ServerOptions

        func run() async throws {
            let client = try server.client(defaultPatience: defaultPatience)
            let (job, reference) = try await execution.resolve(client)
            try await append.send(notes.draft(.executionFinished(reference, outcome)), to: job, client)
        }
    }

    /// The options that `add` and `done` share.
    struct ProgressOptions: ParsableArguments {
        @Option(help: "The indicator's label. Without it: the default indicator.")
        var label: String?

        @Option(
            parsing: .unconditional,
            help: ArgumentHelp(
                "The number of this report, unique in its execution; makes a retry safe.", valueName: "number"))
        var report: Int64?

        @Option(help: "The indicator's unit, such as bytes. The first one that is reported for the label holds.")
        var unit: String?

        @Option(
            help: "A name of this process, if several report to one execution: each part numbers its own reports.")
        var part: String?

        @OptionGroup var notes: NoteOptions
        @OptionGroup var append: AppendOptions
        @OptionGroup var execution: ExecutionOptions
        @OptionGroup var server: ServerOptions

        func report(total: Int64?, done: Int64?, carried: Int64? = nil) async throws {
            let client = try server.client(defaultPatience: defaultPatience)
            let (job, reference) = try await execution.resolve(client)
            let progress = ProgressReport(
                reference: reference, report: report, label: label.map { Name($0) }, total: total, done: done,
                carried: carried, unit: unit.map { Name($0) }, part: part.map { Name($0) })
            try await append.send(notes.draft(.progress(progress)), to: job, client)
        }
    }

    /// The message and the link of an event.
    struct NoteOptions: ParsableArguments {
        @Option(help: "What is being done, or why it ended; stays in the ledger for ever.")
        var message: String?

        @Option(help: ArgumentHelp("The URL of more information, such as a log.", valueName: "url"))
        var link: String?

        func draft(_ body: EventBody) -> EventDraft {
            EventDraft(body, message: message.map { Name($0) }, link: link.map { Name($0) })
        }
    }

    /// The options of commands that append one event of an execution.
    struct AppendOptions: ParsableArguments {
        @Flag(
            help: """
                Wait up to 5 s for the verdict. Exit with code 4 if the report is superseded, with 2 if it contradicts \
                an earlier report.
                """)
        var wait = false

        @Flag(help: "Print the server's JSON.")
        var json = false

        func send(_ draft: EventDraft, to job: JobID, _ client: LedgerClient) async throws {
            let (appended, document) = try await client.sendForJSON(
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
                    "\(recorded) the execution used this report number for another report, or has another attempt.")
            case .overLimit:
                throw CommandFailure(
                    .refused,
                    "\(recorded) the execution already has \(Limits.labelsPerExecutionMax) labels, the maximum.")
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
                With --key the command can be repeated: a job with the same key and content is returned instead of a \
                new one. Exit code 2: the key belongs to a job with other content. The name, the key and the tags stay \
                in the ledger for ever, even if the job is retired: do not put personal data into them.
                """)

        @Argument(help: "The job's name.")
        var name: String

        @Option(help: "A key that you choose, unique in the ledger.")
        var key: String?

        @Option(name: .customLong("tag"), help: ArgumentHelp("A tag; may be repeated.", valueName: "name=value"))
        var tags: [TagOption] = []

        @Flag(help: "Print the server's JSON.")
        var json = false

        @OptionGroup var server: ServerOptions

        func run() async throws {
            let description = JobDescription(
                name: Name(name), key: key.map { Name($0) }, tags: try TagOption.dictionary(tags))
            let (job, document) = try await server.client(defaultPatience: defaultPatience).sendForJSON(
                .createJob(description), as: JobView.self)
            Console.standard.print(json ? document : job.id.description)
        }
    }

    struct FinishJob: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "finish", abstract: "Report that the job has ended.")

        @Argument(help: "The outcome: completed, failed or canceled.")
        var outcome: JobOutcome

        @Option(help: "The job's id, or its exact key. Default: PROGRESS_LEDGER_JOB.")
        var job: String?

        @Option(help: "Why the job ended; stays in the ledger for ever.")
        var message: String?

        @Flag(help: "Print the server's JSON.")
        var json = false

        @OptionGroup var server: ServerOptions

        func run() async throws {
            let client = try server.client(defaultPatience: defaultPatience)
            let job = try await JobOptions.findExactly(job, client)
            let (_, document) = try await client.sendForJSON(
                .append(
                    [EventDraft(.jobFinished(outcome), message: message.map { Name($0) })], to: job,
                    awaitsVerdicts: false), as: Appended.self)
            if json { Console.standard.print(document) }
        }
    }
}
