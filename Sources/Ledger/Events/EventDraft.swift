/// An event that is not in the ledger yet: it has no place and no time there.
public struct EventDraft: Hashable, Sendable {
    /// The caller's clock, where it gave one.
    public let at: Timestamp?
    /// What it says.
    public let body: EventBody

    public init(_ body: EventBody, at: Timestamp? = nil) {
        self.at = at
        self.body = body
    }

    /// The event that the draft becomes at this place and time.
    public func recorded(sequence: Int64, at moment: Timestamp) -> Event {
        Event(sequence: sequence, recordedAt: moment, at: at, body: body)
    }
}
