/// A page of a job's events.
public struct EventPage: Hashable, Sendable {
    /// The events, in the requested order.
    public var events: [ExplainedEvent]
    /// The `after` for the next page. `nil` if this is the last one.
    public var nextAfter: EventSequence?

    public init(events: [ExplainedEvent], nextAfter: EventSequence?) {
        self.events = events
        self.nextAfter = nextAfter
    }
}
