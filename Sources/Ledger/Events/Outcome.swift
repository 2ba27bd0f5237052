/// How an execution ended.
public enum ExecutionOutcome: String, CaseIterable, Hashable, Sendable {
    /// It did what it should.
    case succeeded
    /// It ended with an error; what it reported still counts, provisionally, until another execution starts.
    case failed
    /// It was told to end.
    case canceled
}

/// How a job ended.
public enum JobOutcome: String, CaseIterable, Hashable, Sendable {
    /// It did what it should.
    case completed
    /// It ended with an error.
    case failed
    /// It was told to end.
    case canceled
}

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
