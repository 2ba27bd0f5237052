/// The state of a task: running, abandoned, or the outcome of its last execution.
///
/// The fold stores a task as ``running`` as long as its last execution has no outcome. Once the job has ended, readers
/// see ``abandoned`` instead (``shown(in:)``).
public enum TaskState: String, CaseIterable, Hashable, Sendable {
    /// Its last execution has no outcome, and the job is running.
    case running
    /// Its last execution ended as ``ExecutionOutcome/succeeded``.
    case succeeded
    /// Its last execution ended as ``ExecutionOutcome/failed``.
    case failed
    /// Its last execution ended as ``ExecutionOutcome/canceled``.
    case canceled
    /// Its last execution has no outcome, and the job has ended.
    case abandoned

    /// The state that readers see for this stored state.
    public func shown(in job: JobState) -> TaskState {
        self == .running && job != .running ? .abandoned : self
    }

    /// The stored state for this state that readers see; nil if no task can have it.
    public func stored(in job: JobState) -> TaskState? {
        switch self {
        case .running: job == .running ? .running : nil
        case .abandoned: job == .running ? nil : .running
        case .succeeded, .failed, .canceled: self
        }
    }

    /// The state of a task after its last execution had this outcome.
    public init(_ outcome: ExecutionOutcome?) {
        self =
            switch outcome {
            case nil: .running
            case .succeeded: .succeeded
            case .failed: .failed
            case .canceled: .canceled
            }
    }
}
