public import LedgerWire

/// A page of a list of jobs.
public struct JobsPage: Hashable, Sendable {
    public let jobs: [JobAnswer]
    /// The cursor of the next page; nil at the end.
    public let nextCursor: String?
}

extension JobsPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var jobs: [JobAnswer] = []
        for element in try value.elements("jobs") { jobs.append(try JobAnswer(element)) }
        self.jobs = jobs
        nextCursor = value["next_cursor"]?.text
    }
}
