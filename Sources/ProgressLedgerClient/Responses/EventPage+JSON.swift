import Ledger
package import LedgerWire

extension EventPage: ResponseBody {
    package init(_ value: JSONValue) throws(ResponseError) {
        var events: [ExplainedEvent] = []
        for element in try value.elements("events") { events.append(try ExplainedEvent(element)) }
        self.init(events: events, nextAfter: try value.sequenceIfPresent("next_after"))
    }
}
