/// An event that is not in the ledger yet: it has no sequence and no recorded time.
public struct EventDraft: Hashable, Sendable {
    /// The caller's clock, if the caller gave it.
    public let at: Timestamp?
    /// The caller that appends it; nil without authentication. Only the server sets it.
    public var reporter: Name?
    /// The content of the event.
    public let body: EventBody

    public init(_ body: EventBody, at: Timestamp? = nil, reporter: Name? = nil) {
        self.at = at
        self.reporter = reporter
        self.body = body
    }

    /// Returns the event that the draft becomes at this sequence and time.
    public func recorded(sequence: Int64, at moment: Timestamp) -> Event {
        Event(sequence: sequence, recordedAt: moment, at: at, reporter: reporter, body: body)
    }
}
