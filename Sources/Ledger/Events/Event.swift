/// One immutable entry of the ledger.
public struct Event: Hashable, Sendable {
    /// Its place in its job: 1, 2, 3 … without a gap.
    public let sequence: Int64
    /// The ledger's clock when it was appended; never goes backwards within a job.
    public let recordedAt: Timestamp
    /// The caller's clock, where it gave one. Kept and shown, never used for order.
    public let at: Timestamp?
    /// What it says.
    public let body: EventBody

    public init(sequence: Int64, recordedAt: Timestamp, at: Timestamp? = nil, body: EventBody) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.at = at
        self.body = body
    }
}

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
