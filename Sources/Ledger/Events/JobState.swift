/// The state of a job: running, or its outcome.
public enum JobState: String, CaseIterable, Hashable, Sendable {
    /// There is no `job_finished` yet, or a new last execution has started since.
    case running
    /// Ended as ``JobOutcome/completed``.
    case completed
    /// Ended as ``JobOutcome/failed``.
    case failed
    /// Ended as ``JobOutcome/canceled``.
    case canceled

    /// The state of a job after it ended with this outcome.
    public init(_ outcome: JobOutcome) {
        self =
            switch outcome {
            case .completed: .completed
            case .failed: .failed
            case .canceled: .canceled
            }
    }
}
