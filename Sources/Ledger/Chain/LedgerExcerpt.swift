/// A part of the ledger of a job, on its way to another place.
public struct LedgerExcerpt: Hashable, Sendable {
    public var job: JobID
    /// The last event of the whole ledger that it is a part of: what is imported must end there.
    public var head: ChainPosition
    /// Some of its events, one after the other.
    public var events: [RecordedEvent]

    public init(job: JobID, head: ChainPosition, events: [RecordedEvent] = []) {
        self.job = job
        self.head = head
        self.events = events
    }
}
