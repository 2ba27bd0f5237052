import FoundationEssentials
public import Ledger

/// A running execution, by which any process on any host can report to it.
///
/// It is plain data without a token: put it into a message, or give ``environment`` to a child process. The other
/// process calls ``LedgerClient/attach(to:logger:)`` or ``ExecutionContext/attachFromEnvironment(logger:)``. The
/// clients of all languages read the same variables.
public struct ExecutionHandle: Hashable, Sendable {
    /// The job.
    public var job: JobID
    /// The task.
    public var task: Name
    /// The name of the execution.
    public var execution: Name
    /// The attempt; nil if the ledger numbers the execution.
    public var attempt: Int32?
    /// The URL of the ledger, without a password; nil if it is not known.
    public var url: String?

    public init(job: JobID, task: Name, execution: Name, attempt: Int32? = nil, url: String? = nil) {
        self.job = job
        self.task = task
        self.execution = execution
        self.attempt = attempt
        self.url = url
    }

    /// The handle as variables of a child process.
    ///
    /// They are `PROGRESS_LEDGER_JOB`, `_TASK`, `_EXECUTION`, `_ATTEMPT` and `_URL`.
    public var environment: [String: String] {
        var variables = [
            "PROGRESS_LEDGER_JOB": job.description, "PROGRESS_LEDGER_TASK": task.text,
            "PROGRESS_LEDGER_EXECUTION": execution.text,
        ]
        variables["PROGRESS_LEDGER_ATTEMPT"] = attempt.map(String.init)
        variables["PROGRESS_LEDGER_URL"] = url
        return variables
    }

    /// Creates the handle from the variables of ``environment``.
    ///
    /// Nil without a job, a task or an execution. An attempt that is not one is ignored.
    public init?(environment: [String: String]) {
        func variable(_ name: String) -> String? {
            environment["PROGRESS_LEDGER_\(name)"].flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let job = variable("JOB").flatMap({ JobID($0) }), let task = variable("TASK"),
            let execution = variable("EXECUTION")
        else { return nil }
        let attempt = variable("ATTEMPT").flatMap { Int32($0) }.flatMap { $0 >= 1 ? $0 : nil }
        self.init(
            job: job, task: Name(task), execution: Name(execution), attempt: attempt, url: variable("URL"))
    }

    /// Returns the handle in the variables of this process; nil without one.
    public static func fromEnvironment() -> ExecutionHandle? {
        ExecutionHandle(environment: ProcessInfo.processInfo.environment)
    }
}
