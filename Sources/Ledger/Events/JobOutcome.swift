/// How a job ended.
public enum JobOutcome: String, CaseIterable, Hashable, Sendable {
    /// It did what it should.
    case completed
    /// It ended with an error.
    case failed
    /// It was told to end.
    case canceled
}
