import ArgumentParser
import FoundationEssentials
import Ledger

/// The execution that a report is about, from the command line or the environment.
struct ExecutionOptions: ParsableArguments {
    @Option(help: "The job's id. PROGRESS_LEDGER_JOB.")
    var job: String?

    @Option(help: "The task. PROGRESS_LEDGER_TASK.")
    var task: String?

    @Option(help: "The execution's name. PROGRESS_LEDGER_EXECUTION.")
    var execution: String?

    @Option(parsing: .unconditional, help: "The execution's attempt. PROGRESS_LEDGER_ATTEMPT.")
    var attempt: String?

    func resolve() throws(CommandFailure) -> (job: JobID, reference: ExecutionReference) {
        let environment = ProcessInfo.processInfo.environment
        let value = { (flag: String?, setting: Setting) -> String? in
            (flag ?? environment[setting.variable]).flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let task = value(task, .task) else {
            throw CommandFailure(.usage, "Which task? Give --task, or set \(Setting.task.variable).")
        }
        var reference = ExecutionReference(task: Name(task), execution: value(execution, .execution).map { Name($0) })
        if let text = value(attempt, .attempt) {
            guard let number = Int32(text), number >= 1 else {
                throw CommandFailure(.usage, "'\(text)' is no attempt, which is a number from 1 to \(Int32.max).")
            }
            reference.attempt = number
        }
        return (try JobOptions.parse(job), reference)
    }
}
