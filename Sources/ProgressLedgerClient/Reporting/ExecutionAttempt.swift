/// The attempt of this process at its task, as its workflow engine reports it.
public enum ExecutionAttempt {
    /// Returns the attempt at a task that the caller names.
    ///
    /// It follows from the variables of ``EngineTask``.
    ///
    /// Returns nil if no engine provides one. The ledger then numbers the execution, and the one that starts last
    /// counts. Except under Slurm, engines count the executions of one submission. If the same task of the same job is
    /// submitted again, they start again.
    public static func fromEnvironment() -> Int32? { EngineTask.fromEnvironment()?.attemptOfNamed }
}
