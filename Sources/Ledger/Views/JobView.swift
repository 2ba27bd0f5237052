/// A job with its snapshot, read at one moment.
public struct JobView: Hashable, Sendable {
    /// The job's id.
    public var id: JobID
    /// The job's name, key and tags.
    public var description: JobDescription
    /// The time when the job was created.
    public var createdAt: Timestamp
    /// The last event in the ledger. The snapshot may be behind it.
    public var ledgerSequence: Int64
    /// The snapshot: the result of the fold so far.
    public var snapshot: Snapshot
    /// The number of the projection of this snapshot. Applying a replay changes it.
    public var projection: Int16
    /// The hash of the last event in the snapshot.
    ///
    /// It identifies the history: after a failover that lost events, or from a restored copy, the same sequences are
    /// used again for other events.
    public var history: EventHash

    public init(
        id: JobID, description: JobDescription, createdAt: Timestamp, ledgerSequence: Int64, snapshot: Snapshot,
        projection: Int16 = 1, history: EventHash = .none
    ) {
        self.id = id
        self.description = description
        self.createdAt = createdAt
        self.ledgerSequence = ledgerSequence
        self.snapshot = snapshot
        self.projection = projection
        self.history = history
    }
}
