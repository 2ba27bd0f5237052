/// What an event says, exactly as its caller gave it: what was absent is nil.
public enum EventBody: Hashable, Sendable {
    /// The first event of every job, written by the ledger.
    case jobCreated(JobDescription)
    /// A run of a task begins; every earlier run of it is superseded.
    case executionStarted(ExecutionReference)
    /// A run declares and reports units of work.
    case progress(ProgressReport)
    /// A run ended.
    case executionFinished(ExecutionReference, ExecutionOutcome)
    /// The job ended.
    case jobFinished(JobOutcome)

    /// The type, as it is written in JSON and kept in the database.
    public var type: EventType {
        switch self {
        case .jobCreated: .jobCreated
        case .executionStarted: .executionStarted
        case .progress: .progress
        case .executionFinished: .executionFinished
        case .jobFinished: .jobFinished
        }
    }

    /// The run that the event belongs to; nil for the events of the job itself.
    public var reference: ExecutionReference? {
        switch self {
        case .executionStarted(let reference), .executionFinished(let reference, _): reference
        case .progress(let progress): progress.reference
        case .jobCreated, .jobFinished: nil
        }
    }
}
