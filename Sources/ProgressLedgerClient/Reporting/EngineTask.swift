import FoundationEssentials
public import Ledger

/// The work that a workflow engine has given to this process.
///
/// It is read from the engine's variables.
///
/// `Tests/engine-variables/cases.json` is the table of the variables, which all clients share.
public struct EngineTask: Hashable, Sendable {
    /// The name of the engine, or of the variable of the ledger.
    public let engine: String
    /// The engine's name for the task; nil if there is none.
    public let task: Name?
    /// The attempt at it; nil if the engine does not provide it.
    ///
    /// The ledger then numbers the execution.
    public let attempt: Int32?
    /// The attempt at a task that the code names.
    ///
    /// Nil if the engine's attempts do not order the executions of such a task.
    ///
    /// AWS Batch, Kubernetes and Slurm count the starts of their own job. A task that the code names may be carried out
    /// by several such jobs: it is submitted again, or their processes take tasks from a queue. Their attempts do not
    /// compare.
    public let attemptOfNamed: Int32?
    /// The attempt at a task that `PROGRESS_LEDGER_TASK` names.
    ///
    /// Under Slurm it also grows with each submission: a later submission supersedes all restarts of earlier ones.
    private let attemptOfVariable: Int32?

    private init(
        _ engine: String, task: String? = nil, attempt: Int32?, attemptOfNamed: Int32?, attemptOfVariable: Int32?
    ) {
        self.engine = engine
        self.task = task.map { Name($0) }
        self.attempt = attempt
        self.attemptOfNamed = attemptOfNamed
        self.attemptOfVariable = attemptOfVariable
    }

    /// Creates the task of an engine that starts tasks.
    ///
    /// Its attempts order all executions of a task.
    private init(workflow engine: String, task: String? = nil, attempt: Int32?) {
        self.init(engine, task: task, attempt: attempt, attemptOfNamed: attempt, attemptOfVariable: attempt)
    }

    /// Creates the task of an engine that starts processes.
    ///
    /// Its attempts do not order tasks that the code names.
    private init(scheduler engine: String, task: String, attempt: Int32?, attemptOfVariable: Int32? = nil) {
        self.init(
            engine, task: task, attempt: attempt, attemptOfNamed: nil, attemptOfVariable: attemptOfVariable ?? attempt)
    }

    /// Returns the work that the variables of this process describe.
    ///
    /// Nil if no known engine runs it.
    ///
    /// | variables | set by |
    /// |---|---|
    /// | `PROGRESS_LEDGER_TASK`, `PROGRESS_LEDGER_ATTEMPT` | the program that starts the process |
    /// | `AIRFLOW_CTX_TASK_ID`, `AIRFLOW_CTX_TRY_NUMBER` | Airflow |
    /// | `AWS_BATCH_JOB_ID`, `AWS_BATCH_JOB_ATTEMPT` | AWS Batch |
    /// | `SLURM_JOB_ID`, `SLURM_ARRAY_JOB_ID`, `SLURM_ARRAY_TASK_ID`, `SLURM_RESTART_COUNT` | Slurm |
    /// | `SLURM_STEP_ID`, `SLURM_STEP_NUM_TASKS`, `SLURM_PROCID` | Slurm, in the processes of srun |
    /// | `JOB_COMPLETION_INDEX` | Kubernetes |
    /// | `JOB_INDEX_FAILURE_COUNT`, `JOB_INDEX_IGNORED_FAILURE_COUNT` | the pod template of its Job (below) |
    /// | `GITHUB_ACTIONS`, `GITHUB_RUN_ATTEMPT` | GitHub Actions |
    ///
    /// The pod template copies the annotations `batch.kubernetes.io/job-index-failure-count` and
    /// `batch.kubernetes.io/job-index-ignored-failure-count`.
    ///
    /// The first engine that is found counts, in this order: the most specific is the first.
    public static func fromEnvironment() -> EngineTask? { from(ProcessInfo.processInfo.environment) }

    static func from(_ environment: [String: String]) -> EngineTask? {
        let variables = Variables(environment)
        let found = [explicit, airflow, awsBatch, slurm, kubernetes, gitHub].lazy.compactMap { $0(variables) }.first
        guard let task = variables["PROGRESS_LEDGER_TASK"] else { return found }
        return EngineTask(
            found?.engine ?? "PROGRESS_LEDGER_TASK", task: task, attempt: found?.attemptOfVariable,
            attemptOfNamed: found?.attemptOfNamed, attemptOfVariable: found?.attemptOfVariable)
    }

    /// The variables that are set and not empty.
    private struct Variables {
        private let environment: [String: String]

        init(_ environment: [String: String]) {
            self.environment = environment
        }

        subscript(name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

        /// A number of ASCII digits, up to the largest attempt; nil for any other value.
        func number(_ name: String, from least: Int32) -> Int32? {
            guard let text = self[name], text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int32(text),
                number >= least
            else { return nil }
            return number
        }
    }

    private static func explicit(_ variables: Variables) -> EngineTask? {
        let name = "PROGRESS_LEDGER_ATTEMPT"
        return variables.number(name, from: 1).map { EngineTask(workflow: name, attempt: $0) }
    }

    private static func airflow(_ variables: Variables) -> EngineTask? {
        variables["AIRFLOW_CTX_TASK_ID"].map { task in
            EngineTask(workflow: "Airflow", task: task, attempt: variables.number("AIRFLOW_CTX_TRY_NUMBER", from: 1))
        }
    }

    private static func awsBatch(_ variables: Variables) -> EngineTask? {
        // The id of an array job's child already ends with its index.
        variables["AWS_BATCH_JOB_ID"].map { job in
            EngineTask(scheduler: "AWS Batch", task: job, attempt: variables.number("AWS_BATCH_JOB_ATTEMPT", from: 1))
        }
    }

    /// The largest id of a Slurm job (`MaxJobId`): 32 attempts of each are below 2^31.
    private static let slurmJobMax: Int32 = 67_043_328
    private static let slurmRestartsMax: Int32 = 31

    private static func slurm(_ variables: Variables) -> EngineTask? {
        guard let job = variables["SLURM_JOB_ID"] else { return nil }
        var task = job
        if let array = variables["SLURM_ARRAY_JOB_ID"], let index = variables["SLURM_ARRAY_TASK_ID"] {
            task = "\(array)_\(index)"
        }
        // A process of srun, in Slurm's own notation: other processes have no step, or one with a number above these.
        if let step = variables.number("SLURM_STEP_ID", from: 0) {
            task += ".\(step)"
            // A step of several processes distinguishes them by their rank.
            if let size = variables["SLURM_STEP_NUM_TASKS"], size != "1", let rank = variables["SLURM_PROCID"] {
                task += ".\(rank)"
            }
        }
        // The variable counts the requeues, and is not set before the first one.
        let restarts = variables.number("SLURM_RESTART_COUNT", from: 0) ?? 0
        let submitted = variables.number("SLURM_JOB_ID", from: 1).flatMap { number in
            number <= slurmJobMax ? number * (slurmRestartsMax + 1) + min(restarts, slurmRestartsMax) : nil
        }
        return EngineTask(
            scheduler: "Slurm", task: task, attempt: Int32(exactly: Int64(restarts) + 1), attemptOfVariable: submitted)
    }

    private static func kubernetes(_ variables: Variables) -> EngineTask? {
        variables["JOB_COMPLETION_INDEX"].map { index in
            // Kubernetes gives pods their index, but not the number of tries.
            let failures = variables.number("JOB_INDEX_FAILURE_COUNT", from: 0).map(Int64.init)
            let ignored = Int64(variables.number("JOB_INDEX_IGNORED_FAILURE_COUNT", from: 0) ?? 0)
            return EngineTask(
                scheduler: "Kubernetes", task: index, attempt: failures.flatMap { Int32(exactly: $0 + ignored + 1) })
        }
    }

    private static func gitHub(_ variables: Variables) -> EngineTask? {
        guard variables["GITHUB_ACTIONS"] == "true" else { return nil }
        // No variable distinguishes the jobs of a matrix, so that the caller names the task.
        return EngineTask(workflow: "GitHub Actions", attempt: variables.number("GITHUB_RUN_ATTEMPT", from: 1))
    }
}
