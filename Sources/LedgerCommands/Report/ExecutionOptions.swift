import ArgumentParser
import FoundationEssentials
import Ledger
import ProgressLedgerClient

/// The execution of a report, from the command line or the environment.
struct ExecutionOptions: ParsableArguments {
    @Option(help: "The job's id, or its exact key. Default: PROGRESS_LEDGER_JOB.")
    var job: String?

    @Option(help: "The task. Default: PROGRESS_LEDGER_TASK.")
    var task: String?

    @Option(help: "The execution's name. Default: PROGRESS_LEDGER_EXECUTION.")
    var execution: String?

    @Option(parsing: .unconditional, help: "The execution's attempt. Default: PROGRESS_LEDGER_ATTEMPT.")
    var attempt: String?

    /// The given task, if the environment names another one.
    var otherTask: String? {
        guard let task, let other = ProcessInfo.processInfo.environment[Setting.task.variable] else { return nil }
        return task == other || other.isEmpty ? nil : task
    }

    /// Returns the job and the execution. A key costs a request, which an id spares.
    ///
    /// - Parameter isNew: Whether the execution begins now. The name and the attempt in the environment are ignored if
    ///   they are those of another task: a command that runs within an execution starts one of its own.
    func resolve(
        _ client: LedgerClient, isNew: Bool = false
    ) async throws -> (job: JobID, reference: ExecutionReference) {
        let environment = isNew && otherTask != nil ? [:] : ProcessInfo.processInfo.environment
        let value = { (flag: String?, setting: Setting) -> String? in
            (flag ?? environment[setting.variable]).flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let task = value(task, .task) else {
            throw CommandFailure(.usage, "No task given. Give --task or set \(Setting.task.variable).")
        }
        var reference = ExecutionReference(task: Name(task), execution: value(execution, .execution).map { Name($0) })
        if let text = value(attempt, .attempt) {
            guard let number = Int32(text), number >= 1 else {
                throw CommandFailure(.usage, "'\(text)' is not an attempt. Expected a number from 1 to \(Int32.max).")
            }
            reference.attempt = number
        }
        return (try await JobOptions.findExactly(job, client), reference)
    }
}
