/// The outcome of an execution.
public enum ExecutionOutcome: String, CaseIterable, Hashable, Sendable {
    /// The execution completed its work.
    case succeeded
    /// The execution ended with an error.
    ///
    /// Its reports still count, provisionally, until another execution starts.
    case failed
    /// The execution ended because it was canceled.
    case canceled
}
