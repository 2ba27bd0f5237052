/// An event that is not in the ledger yet: it has no sequence and no recorded time.
public struct EventDraft: Hashable, Sendable {
    /// The caller's clock, if the caller gave it.
    public let at: Timestamp?
    /// The caller that appends it; nil without authentication. Only the server sets it.
    public var reporter: Name?
    /// The current work, or the cause of an end.
    public let message: Name?
    /// The URL of more information.
    public let link: Name?
    /// The content of the event.
    public let body: EventBody

    public init(
        _ body: EventBody, at: Timestamp? = nil, reporter: Name? = nil, message: Name? = nil, link: Name? = nil
    ) {
        self.at = at
        self.reporter = reporter
        self.message = message
        self.link = link
        self.body = body
    }

    /// Creates the draft of which this event was recorded.
    public init(_ event: Event) {
        self.init(event.body, at: event.at, reporter: event.reporter, message: event.message, link: event.link)
    }

    /// Returns the event that the draft becomes at this sequence and time.
    public func recorded(sequence: EventSequence, at moment: Timestamp) -> Event {
        Event(
            sequence: sequence, recordedAt: moment, at: at, reporter: reporter, message: message, link: link, body: body
        )
    }
}
