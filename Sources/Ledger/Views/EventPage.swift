/// A page of a job's events.
public struct EventPage: Hashable, Sendable {
    /// The events, in the requested order.
    public var events: [ExplainedEvent]
    /// The `after` for the next page. `nil` if this is the last one.
    public var nextAfter: Int64?

    public init(events: [ExplainedEvent], nextAfter: Int64?) {
        self.events = events
        self.nextAfter = nextAfter
    }
}
