/// The outcome of a job.
public enum JobOutcome: String, CaseIterable, Hashable, Sendable {
    /// The job completed its work.
    case completed
    /// The job ended with an error.
    case failed
    /// The job ended because it was canceled.
    case canceled
}
