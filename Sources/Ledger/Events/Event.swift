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
