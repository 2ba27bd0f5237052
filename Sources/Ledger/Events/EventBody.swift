/// The content of an event, exactly as the caller gave it.
///
/// Absent fields are nil. It is indirect because an event is copied several times between its request and its row, and
/// each text in place would have to be retained and released each time.
public indirect enum EventBody: Hashable, Sendable {
    /// The first event of every job, written by the ledger.
    case jobCreated(JobDescription)
    /// An execution of a task begins; all lower executions of the task are superseded.
    case executionStarted(ExecutionReference)
    /// An execution declares and reports units of work.
    case progress(ProgressReport)
    /// An execution ended.
    case executionFinished(ExecutionReference, ExecutionOutcome)
    /// The job ended.
    case jobFinished(JobOutcome)

    /// The type of the event, as in JSON and in the database.
    public var type: EventType {
        switch self {
        case .jobCreated: .jobCreated
        case .executionStarted: .executionStarted
        case .progress: .progress
        case .executionFinished: .executionFinished
        case .jobFinished: .jobFinished
        }
    }

    /// The execution that the event belongs to; nil for events of the job itself.
    public var reference: ExecutionReference? {
        switch self {
        case .executionStarted(let reference), .executionFinished(let reference, _): reference
        case .progress(let progress): progress.reference
        case .jobCreated, .jobFinished: nil
        }
    }
}
