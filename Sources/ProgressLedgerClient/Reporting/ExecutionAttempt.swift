import FoundationEssentials

/// The attempt of this process at its task, as its workflow engine reports it.
public enum ExecutionAttempt {
    /// Returns the attempt from the first of these variables that is set.
    ///
    /// Returns nil if none is set or its value is not an attempt. The ledger then numbers the execution, and the one
    /// that starts last counts.
    ///
    /// | variable | set by |
    /// |---|---|
    /// | `PROGRESS_LEDGER_ATTEMPT` | the program that starts the process: the attempt itself |
    /// | `AIRFLOW_CTX_TRY_NUMBER` | Airflow: the try, from 1 |
    /// | `AWS_BATCH_JOB_ATTEMPT` | AWS Batch: the attempt, from 1 |
    /// | `SLURM_RESTART_COUNT` | Slurm: the restarts, not set before the first one; with `SLURM_JOB_ID` |
    /// | `JOB_INDEX_FAILURE_COUNT`, `JOB_INDEX_IGNORED_FAILURE_COUNT` | the pod template of a Kubernetes Job (below) |
    ///
    /// The pod template copies the annotations `batch.kubernetes.io/job-index-failure-count` and
    /// `batch.kubernetes.io/job-index-ignored-failure-count`.
    ///
    /// The variables count the executions of one submission. If the same task of the same job is submitted again, they
    /// start again.
    public static func fromEnvironment() -> Int32? {
        from(ProcessInfo.processInfo.environment)
    }

    static func from(_ environment: [String: String]) -> Int32? {
        func number(_ name: String) -> Int64? { environment[name].flatMap { Int64($0) } }
        func isSet(_ name: String) -> Bool { environment[name].map { !$0.isEmpty } ?? false }
        func attempt(_ number: Int64?) -> Int32? {
            number.flatMap { $0 >= 1 ? Int32(exactly: $0) : nil }
        }
        for name in ["PROGRESS_LEDGER_ATTEMPT", "AIRFLOW_CTX_TRY_NUMBER", "AWS_BATCH_JOB_ATTEMPT"] where isSet(name) {
            return attempt(number(name))
        }
        func afterFailures(_ names: [String]) -> Int32? {
            var failures: Int64 = 0
            for name in names where isSet(name) {
                guard let count = number(name), (0...Int64(Int32.max)).contains(count) else { return nil }
                failures += count
            }
            return attempt(failures + 1)
        }
        if isSet("SLURM_JOB_ID") { return afterFailures(["SLURM_RESTART_COUNT"]) }
        guard isSet("JOB_INDEX_FAILURE_COUNT") else { return nil }
        return afterFailures(["JOB_INDEX_FAILURE_COUNT", "JOB_INDEX_IGNORED_FAILURE_COUNT"])
    }
}
