public import Ledger
package import LedgerWire

/// The result of an append to one job.
public struct Appended: Hashable, Sendable {
    /// The sequences of the events, in their order.
    public let sequences: ClosedRange<EventSequence>
    /// The verdicts of the events, in their order.
    ///
    /// It is nil if the caller did not request verdicts, or if the fold was not in time. It is also nil if a newer
    /// server added one of them: the events are recorded in any case.
    public let verdicts: [Verdict]?
    /// The state of the job's newest snapshot that the server knows.
    ///
    /// It may lag by moments, also behind the start of an execution that reopened the job. Nil if it knows none.
    public let jobState: JobState?
}

/// The result of an append to several jobs.
public struct AppendedToJobs: Hashable, Sendable {
    /// The number of events.
    public let count: Int
    /// The sequences of the events, by job.
    public let sequences: [JobID: ClosedRange<EventSequence>]
    /// The states of the jobs, as in ``Appended/jobState``.
    public let jobStates: [JobID: JobState]
}

/// An execution that has started and is the last one of its task.
public struct StartedExecution: Hashable, Sendable {
    public let task: Name
    /// The name, from the caller or the ledger; nil if only the attempt identifies it.
    public let execution: Name?
    /// The attempt; nil if the event was not folded in time.
    public let attempt: Int32?
    /// The sequence of the first event.
    public let sequence: EventSequence
    /// The state of the job, as in ``Appended/jobState``.
    public let jobState: JobState?
}

extension Appended: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        sequences = try value.sequences()
        jobState = value.jobState
        guard let elements = value["verdicts"]?.elements else {
            verdicts = nil
            return
        }
        var verdicts: [Verdict]? = []
        for element in elements {
            guard let text = element.text else { throw ResponseError(field: "verdicts") }
            if let verdict = Verdict(rawValue: text) { verdicts?.append(verdict) } else { verdicts = nil }
        }
        self.verdicts = verdicts
    }
}

extension AppendedToJobs: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        count = try value.integer("appended")
        guard case .object(let fields) = value["jobs"] else { throw ResponseError(field: "jobs") }
        var sequences: [JobID: ClosedRange<EventSequence>] = [:]
        var jobStates: [JobID: JobState] = [:]
        for field in fields {
            guard let job = JobID(field.name) else { throw ResponseError(field: "jobs") }
            sequences[job] = try field.value.sequences()
            jobStates[job] = field.value.jobState
        }
        self.sequences = sequences
        self.jobStates = jobStates
    }
}

extension StartedExecution: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        task = Name(try value.text("task"))
        execution = value.nameIfPresent("execution")
        attempt = try value.integerIfPresent("attempt")
        sequence = try value.sequence("sequence")
        jobState = value.jobState
    }
}

extension JSONValue {
    /// The state of the job in a response; nil without a known one.
    var jobState: JobState? { self["job_state"]?.text.flatMap { JobState(rawValue: $0) } }
}
