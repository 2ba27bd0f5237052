/// How an execution ended.
public enum ExecutionOutcome: String, CaseIterable, Hashable, Sendable {
    /// It did what it should.
    case succeeded
    /// It ended with an error; what it reported still counts, provisionally, until another execution starts.
    case failed
    /// It was told to end.
    case canceled
}
