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

/// The types of events. The raw value is what the database and the hash chain keep: never renumber.
public enum EventType: Int16, CaseIterable, Hashable, Sendable {
    case jobCreated = 1
    case executionStarted = 2
    case progress = 3
    case executionFinished = 4
    case jobFinished = 5

    /// The name in JSON.
    public var name: String {
        switch self {
        case .jobCreated: "job_created"
        case .executionStarted: "execution_started"
        case .progress: "progress"
        case .executionFinished: "execution_finished"
        case .jobFinished: "job_finished"
        }
    }

    /// The type of this name in JSON.
    public init?(name: String) {
        guard let type = Self.allCases.first(where: { $0.name.utf8.elementsEqual(name.utf8) }) else { return nil }
        self = type
    }
}

/// What a job is called: the content of its first event.
public struct JobDescription: Hashable, Sendable {
    /// The name; need not be unique.
    public var name: Name
    /// The caller's own key, unique in the ledger.
    public var key: Name?
    /// Values by the names of tags.
    public var tags: [Name: Name]

    public init(name: Name, key: Name? = nil, tags: [Name: Name] = [:]) {
        self.name = name
        self.key = key
        self.tags = tags
    }

    /// The tags by name, in the order in which they are hashed and shown.
    public var sortedTags: [(name: Name, value: Name)] {
        tags.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }
}

/// How an event names the run that it belongs to. What it means is for the fold to say (``Fold``).
public struct ExecutionReference: Hashable, Sendable {
    /// The task.
    public var task: Name
    /// The name of the execution, where the caller gave one.
    public var execution: Name?
    /// The attempt, where the caller gave one.
    public var attempt: Int32?

    public init(task: Name, execution: Name? = nil, attempt: Int32? = nil) {
        self.task = task
        self.execution = execution
        self.attempt = attempt
    }
}

/// Units declared and done on one indicator by one run.
public struct ProgressReport: Hashable, Sendable {
    /// The run.
    public var reference: ExecutionReference
    /// The reporter's own number of this report.
    public var report: Int64?
    /// The indicator; nil is the default one. The empty label means the same and is kept as nil.
    public let label: Name?
    /// Units more to do; absent means 0.
    public var total: Int64?
    /// Units more done; absent means 0.
    public var done: Int64?

    public init(
        reference: ExecutionReference, report: Int64? = nil, label: Name? = nil, total: Int64? = nil,
        done: Int64? = nil
    ) {
        self.reference = reference
        self.report = report
        self.label = label.flatMap { $0.text.utf8.isEmpty ? nil : $0 }
        self.total = total
        self.done = done
    }
}
