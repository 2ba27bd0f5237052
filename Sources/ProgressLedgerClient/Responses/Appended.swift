public import Ledger
package import LedgerWire

/// Where events were recorded.
public struct Appended: Hashable, Sendable {
    /// The sequences of the events, in their order.
    public let sequences: ClosedRange<Int64>
    /// What the fold made of them, in their order; nil where that was not asked for, or was not known in time.
    public let verdicts: [Verdict]?
}

/// Where events of several jobs were recorded.
public struct AppendedToJobs: Hashable, Sendable {
    /// How many events.
    public let count: Int
    /// Their sequences by their jobs.
    public let sequences: [JobID: ClosedRange<Int64>]
}

/// An execution that has begun and is the last of its task.
public struct StartedExecution: Hashable, Sendable {
    public let task: Name
    /// Its name, given or found by the ledger; nil where it is known by its attempt alone.
    public let execution: Name?
    /// Its attempt; nil where the fold did not get there in time.
    public let attempt: Int32?
    /// The sequence of its first event.
    public let sequence: Int64
}

extension Appended: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        sequences = try value.sequences()
        guard let elements = value["verdicts"]?.elements else {
            verdicts = nil
            return
        }
        var verdicts: [Verdict] = []
        for element in elements {
            guard let verdict = element.text.flatMap({ Verdict(rawValue: $0) }) else {
                throw ResponseError(field: "verdicts")
            }
            verdicts.append(verdict)
        }
        self.verdicts = verdicts
    }
}

extension AppendedToJobs: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        count = try value.integer("appended")
        guard case .object(let fields) = value["jobs"] else { throw ResponseError(field: "jobs") }
        var sequences: [JobID: ClosedRange<Int64>] = [:]
        for field in fields {
            guard let job = JobID(field.name) else { throw ResponseError(field: "jobs") }
            sequences[job] = try field.value.sequences()
        }
        self.sequences = sequences
    }
}

extension StartedExecution: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        task = Name(try value.text("task"))
        execution = value.nameIfPresent("execution")
        attempt = try value.integerIfPresent("attempt")
        sequence = try value.integer("sequence")
    }
}
