/// Whether a task runs, or the outcome of its last execution.
///
/// The fold stores a task as ``running`` for as long as its last execution has no outcome. Readers see ``abandoned``
/// instead once the job has ended: see ``shown(in:)``.
public enum TaskState: String, CaseIterable, Hashable, Sendable {
    /// Its last execution has no outcome, and the job runs.
    case running
    /// Its last execution ended as ``ExecutionOutcome/succeeded``.
    case succeeded
    /// Its last execution ended as ``ExecutionOutcome/failed``.
    case failed
    /// Its last execution ended as ``ExecutionOutcome/canceled``.
    case canceled
    /// Its last execution has no outcome, and the job has ended.
    case abandoned

    /// The state that readers see of a task that is stored in this one.
    public func shown(in job: JobState) -> TaskState {
        self == .running && job != .running ? .abandoned : self
    }

    /// The stored state of tasks that readers see in this one; nil if no task can be seen in it.
    public func stored(in job: JobState) -> TaskState? {
        switch self {
        case .running: job == .running ? .running : nil
        case .abandoned: job == .running ? nil : .running
        case .succeeded, .failed, .canceled: self
        }
    }

    /// The state that the outcome of a last execution leads to.
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
