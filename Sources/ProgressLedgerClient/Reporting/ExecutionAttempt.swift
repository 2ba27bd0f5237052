/// The attempt of this process at its task, as its workflow engine reports it.
public enum ExecutionAttempt {
    /// Returns the attempt at a task that the code names.
    ///
    /// It is ``EngineTask/attemptOfNamed``. Returns nil if no engine provides one, and under AWS Batch, Kubernetes and
    /// Slurm. The ledger then numbers the execution, and the one that starts last counts. Airflow and GitHub Actions
    /// count the executions of one submission. If the same task of the same job is submitted again, they start again.
    public static func fromEnvironment() -> Int32? { EngineTask.fromEnvironment()?.attemptOfNamed }
}
