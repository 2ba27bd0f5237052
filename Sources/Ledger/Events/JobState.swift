/// Whether a job runs, or how it ended.
public enum JobState: String, CaseIterable, Hashable, Sendable {
    /// No `job_finished` yet, or a new last execution has begun since.
    case running
    /// Ended as ``JobOutcome/completed``.
    case completed
    /// Ended as ``JobOutcome/failed``.
    case failed
    /// Ended as ``JobOutcome/canceled``.
    case canceled

    /// The state that an end leads to.
    public init(_ outcome: JobOutcome) {
        self =
            switch outcome {
            case .completed: .completed
            case .failed: .failed
            case .canceled: .canceled
            }
    }
}
