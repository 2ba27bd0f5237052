import ArgumentParser
import FoundationEssentials
import Ledger
import LedgerWire
import ProgressLedgerClient

extension ReportCommand {
    struct Exec: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "exec",
            abstract: "Run a command as an execution, and exit with its exit code.",
            discussion: """
                Starts the execution, runs the command, and finishes the execution: as succeeded after exit code 0, as \
                canceled if a signal to end killed it or was passed on within its last minute, else as failed, with the exit code as message. Signals \
                are passed on. The command gets PROGRESS_LEDGER_URL, _JOB, _TASK, _EXECUTION and _ATTEMPT, so that it \
                can report units. Every 30 s the start is repeated, which shows that the command is alive.

                The exit code is that of the command; 128 + N if signal N killed it; 127 if it was not found, 126 if it \
                cannot be run. If the execution cannot be started, the command does not run, and the exit code says why. \
                With --best-effort it runs in any case, and a ledger that does not respond delays it by at most ten \
                seconds at each end.
                """)

        @Flag(help: "Run the command even if the execution cannot be started: no failure to report matters.")
        var bestEffort = false

        @Option(help: ArgumentHelp("The URL of more information, such as a log.", valueName: "url"))
        var link: String?

        @Flag(help: "Start even if the job is canceled, which reopens it.")
        var reopen = false

        @OptionGroup var execution: ExecutionOptions
        @OptionGroup var server: ServerOptions

        @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
        var command: [String] = []

        func validate() throws {
            guard !command.isEmpty else { throw ValidationError("Give the command after --.") }
        }

        /// The seconds for a request with `--best-effort`, and for repeating it.
        private static let bestEffortSeconds = 5
        /// How long the start may take in all with `--best-effort`.
        private static let bestEffortStart: Duration = .seconds(10)
        /// How long a start that is in progress may still take after a signal to end.
        private static let startAfterSignal: Duration = .seconds(2)
        /// The interval between signs of life, by the semantics, section 8.
        private static let heartbeatInterval: Duration = .seconds(30)

        /// A started execution.
        private struct Started: Sendable {
            let client: LedgerClient
            let job: JobID
            let reference: ExecutionReference

            func append(_ draft: EventDraft) async throws {
                _ = try await client.append([draft], to: job)
            }
        }

        func run() async throws {
            let descriptors = ChildProcess.openDescriptors()
            ChildProcess.catchSignals()
            var started: Started?
            do { started = try await startInTime() } catch {
                guard bestEffort || ChildProcess.pendingStop != nil else { throw error }
                if ChildProcess.pendingStop == nil { Self.note("the command runs without a report", error) }
            }
            if let signal = ChildProcess.pendingStop {
                await finish(started, as: .canceled, "ended by signal \(signal) before the command ran")
                throw ExitCode(128 + signal)
            }
            ChildProcess.closeOnStart(allBut: descriptors)
            let child: ChildProcess
            do throws(ChildProcess.Failure) {
                child = try ChildProcess(command, replacing: variables(started))
            } catch {
                Console.standard.printToError("progress-ledger: \(VisibleText.escape(error.description))")
                await finish(started, as: .failed, error.description)
                throw ExitCode(error.exitCode)
            }
            let ending = await Self.end(of: child, reportedBy: started)
            switch ending {
            case .exited(0): await finish(started, as: .succeeded, nil)
            default:
                await finish(started, as: ChildProcess.wasStopped(by: ending) ? .canceled : .failed, ending.description)
            }
            guard ending.exitCode == 0 else { throw ExitCode(ending.exitCode) }
        }

        /// Starts the execution, unless a signal asks this process to end.
        ///
        /// With `--best-effort` it takes no longer than ten seconds.
        private func startInTime() async throws -> Started {
            try await withThrowingTaskGroup(of: Started?.self) { group in
                group.addTask(name: "start") { try await start() }
                group.addTask(name: "limit") {
                    let begin = ContinuousClock.now
                    while ChildProcess.pendingStop == nil {
                        guard !bestEffort || begin.duration(to: .now) < Self.bestEffortStart else { return nil }
                        try await Task.sleep(for: .milliseconds(100))
                    }
                    try await Task.sleep(for: Self.startAfterSignal)
                    return nil
                }
                defer { group.cancelAll() }
                guard let started = try await group.next() ?? nil else {
                    throw CommandFailure(.unavailable, "The ledger did not respond in time.")
                }
                return started
            }
        }

        private func start() async throws -> Started {
            var server = server
            if bestEffort {
                server.timeout = min(server.timeout, Self.bestEffortSeconds)
                server.patience = min(server.patience ?? Self.bestEffortSeconds, Self.bestEffortSeconds)
            }
            let client = try server.client(defaultPatience: defaultPatience)
            var (job, reference) = try await execution.resolve(client, isNew: true)
            // With a name, a start whose response was lost can be repeated.
            if reference.execution == nil { reference.execution = RandomName.make() }
            let (started, _) = try await client.sendForJSON(
                .startExecution(reference, in: job, link: link.map { Name($0) }, unlessCanceled: !reopen),
                as: StartedExecution.self)
            return Started(
                client: client, job: job,
                reference: ExecutionReference(
                    task: reference.task, execution: started.execution ?? reference.execution,
                    attempt: started.attempt ?? reference.attempt))
        }

        /// The variables of the command that differ from those of this process.
        ///
        /// Nil for one that it does not get.
        private func variables(_ started: Started?) -> [String: String?] {
            if let started {
                return [
                    Setting.url.variable: server.url,
                    Setting.job.variable: started.job.description,
                    Setting.task.variable: started.reference.task.text,
                    Setting.execution.variable: started.reference.execution?.text,
                    Setting.attempt.variable: started.reference.attempt.map(String.init),
                ]
            }
            // The units of the command are not those of another task, whose process runs this one.
            guard let task = execution.otherTask else { return [:] }
            return [Setting.task.variable: task, Setting.execution.variable: nil, Setting.attempt.variable: nil]
        }

        /// Waits for the end of the command, and sends signs of life.
        private static func end(of child: ChildProcess, reportedBy started: Started?) async -> ChildProcess.Ending {
            await withTaskGroup(of: ChildProcess.Ending?.self) { group in
                group.addTask(name: "child") { await child.end() }
                group.addTask(name: "heartbeats") {
                    guard let started else { return nil }
                    while !Task.isCancelled {
                        do {
                            try await Task.sleep(for: heartbeatInterval)
                            try await started.append(EventDraft(.executionStarted(started.reference)))
                        } catch is CancellationError {
                            return nil
                        } catch {
                            // The next one may succeed. Without any, the execution is shown as silent.
                            continue
                        }
                    }
                    return nil
                }
                var ending: ChildProcess.Ending?
                for await result in group {
                    guard let result else { continue }
                    ending = result
                    group.cancelAll()
                }
                guard let ending else { preconditionFailure("the task of the child returns its end") }
                return ending
            }
        }

        /// Finishes the execution. A failure is noted, and does not change the exit code.
        private func finish(_ started: Started?, as outcome: ExecutionOutcome, _ message: String?) async {
            guard let started else { return }
            // A name of a file may contain what a message must not, and be longer.
            let text = message.map { VisibleText.escape($0).unicodeScalars.prefix(Limits.messageLengths.upperBound) }
            do {
                try await started.append(
                    EventDraft(
                        .executionFinished(started.reference, outcome),
                        message: text.map { Name(String(String.UnicodeScalarView($0))) }))
            } catch {
                Self.note("the end of the execution may not be recorded", error)
            }
        }

        private static func note(_ consequence: String, _ error: any Error) {
            let cause = VisibleText.escapeLines(CommandFailure(any: error).description)
            Console.standard.printToError("progress-ledger: \(consequence): \(cause)")
        }
    }
}
