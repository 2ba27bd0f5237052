/// A job with its snapshot, read at one moment.
///
/// The store reads it, the server writes it as JSON, and the clients decode it from there.
public struct JobView: Sendable {
    /// The job's id.
    public var id: JobID
    /// The job's name, key and tags.
    public var description: JobDescription
    /// The time when the job was created.
    public var createdAt: Timestamp
    /// The last event in the ledger. The snapshot may be behind it.
    public var ledgerSequence: EventSequence
    /// The snapshot: the result of the fold so far.
    public var snapshot: Snapshot
    /// Whether the job was retired.
    ///
    /// The snapshot of a retired job shows only the state in which it ended.
    public var isRetired: Bool
    /// The estimate of the remaining time.
    ///
    /// Nil unless it was read with the job. It depends on the time of the read, and is not compared.
    public var estimate: JobEstimate?
    /// The stalls at the time of the read, not compared either.
    ///
    /// Nil unless they were read with the job, and for a job whose past must first be read.
    public var stalls: JobStalls?
    /// The server's clock at the time of the response, from which ages are computed.
    ///
    /// Nil unless it was decoded from a response.
    public var now: Timestamp?
    /// The version of the snapshot. Nil unless it was read from the store.
    public var version: Version?

    /// The version of a snapshot beside its sequence.
    public struct Version: Hashable, Sendable {
        /// The number of the projection. Applying a replay changes it.
        public var projection: Int16
        /// The hash of the last event in the snapshot.
        ///
        /// It identifies the history: after a failover that lost events, or from a restored copy, the same sequences
        /// are used again for other events.
        public var history: EventHash

        /// The version of a snapshot that was not read from the store.
        public static let unknown = Version(projection: 0, history: .none)

        public init(projection: Int16, history: EventHash) {
            self.projection = projection
            self.history = history
        }
    }

    public init(
        id: JobID, description: JobDescription, createdAt: Timestamp, ledgerSequence: EventSequence, snapshot: Snapshot,
        isRetired: Bool = false, estimate: JobEstimate? = nil, stalls: JobStalls? = nil, now: Timestamp? = nil,
        version: Version? = nil
    ) {
        self.id = id
        self.description = description
        self.createdAt = createdAt
        self.ledgerSequence = ledgerSequence
        self.snapshot = snapshot
        self.isRetired = isRetired
        self.estimate = estimate
        self.stalls = stalls
        self.now = now
        self.version = version
    }

    /// The state that lists show: `retired`, or else that of the snapshot.
    public var listedState: String { isRetired ? "retired" : snapshot.state.rawValue }
}

extension JobView: Hashable {
    public static func == (left: JobView, right: JobView) -> Bool {
        left.id == right.id && left.description == right.description && left.createdAt == right.createdAt
            && left.ledgerSequence == right.ledgerSequence && left.snapshot == right.snapshot
            && left.isRetired == right.isRetired && left.now == right.now && left.version == right.version
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(id)
        hasher.combine(ledgerSequence)
        hasher.combine(snapshot)
    }
}
