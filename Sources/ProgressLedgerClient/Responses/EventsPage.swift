public import Ledger
package import LedgerWire

/// A page of a job's events.
public struct EventsPage: Hashable, Sendable {
    public let events: [ExplainedEvent]
    /// The value of ``EventSearch/after`` for the next page; nil at the end.
    public let nextAfter: Int64?
}

extension EventsPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var events: [ExplainedEvent] = []
        for element in try value.elements("events") { events.append(try ExplainedEvent(element)) }
        self.events = events
        nextAfter = try value.integerIfPresent("next_after")
    }
}
