public import Ledger
package import LedgerWire

/// A page of a list of jobs.
public struct JobsPage: Hashable, Sendable {
    public let jobs: [JobView]
    /// The cursor of the next page; nil at the end.
    public let nextCursor: String?
}

extension JobsPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var jobs: [JobView] = []
        for element in try value.elements("jobs") { jobs.append(try JobView(element)) }
        self.jobs = jobs
        nextCursor = value["next_cursor"]?.text
    }
}
