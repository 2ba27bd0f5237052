public import Ledger

/// The version of a job's snapshot: equal stamps mean an equal ``JobView``.
///
/// The hash of the last event identifies the whole history. The sequence and the projection identify the result of the
/// fold. The transaction that wrote the snapshot's row (`xmin`) guards against reused numbers of projections and manual
/// edits of that row. Manual edits of indicator rows are not detected; a replay finds them.
public struct SnapshotStamp: Hashable, Sendable {
    /// The sequence of the last event in the ledger.
    public let ledgerSequence: EventSequence
    /// The hash of the last event in the ledger.
    public let head: EventHash
    /// The sequence of the last event in the snapshot.
    public let sequence: EventSequence
    /// The number of the live projection.
    public let projection: Int16
    /// The transaction that wrote the snapshot's row.
    public let writer: UInt32
    /// Whether the job was retired.
    public let isRetired: Bool
    /// The hash of the last event in the snapshot.
    ///
    /// It is ``EventHash/none`` as long as it is unknown.
    public package(set) var history: EventHash

    /// Creates a stamp. Its history is the head's hash if the snapshot is not behind.
    public init(
        ledgerSequence: EventSequence, head: EventHash, sequence: EventSequence, projection: Int16, writer: UInt32,
        isRetired: Bool = false
    ) {
        history = sequence == ledgerSequence ? head : .none
        self.ledgerSequence = ledgerSequence
        self.head = head
        self.sequence = sequence
        self.projection = projection
        self.writer = writer
        self.isRetired = isRetired
    }
}
