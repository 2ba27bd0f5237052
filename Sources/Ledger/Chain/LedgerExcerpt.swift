/// A range of a job's events, for export and import.
public struct LedgerExcerpt: Hashable, Sendable {
    public var job: JobID
    /// The last event of the exported ledger: the import must end there.
    public var head: ChainPosition
    /// Consecutive events of the job.
    public var events: [RecordedEvent]

    public init(job: JobID, head: ChainPosition, events: [RecordedEvent] = []) {
        self.job = job
        self.head = head
        self.events = events
    }
}
