/// Which state of a job's snapshot a reader is shown: where two are equal, so is everything that ``JobView`` tells, as far
/// as the ledger has written it.
///
/// The hash of the last event stands for the whole history, wherever it was recorded; the sequence and the projection
/// for what has been made of it; and the transaction that wrote the snapshot's row for that row itself, so that neither a
/// number given anew nor a change to that row by hand passes for what was there before. A change by hand to an
/// indicator's row alone does: a replay finds it.
public struct SnapshotStamp: Hashable, Sendable {
    /// The sequence of the last event in the ledger.
    public let ledgerSequence: Int64
    /// The hash of the last event in the ledger.
    public let head: EventHash
    /// The sequence of the last event in the snapshot.
    public let sequence: Int64
    /// The number of the projection that readers are shown.
    public let projection: Int16
    /// The transaction that wrote the snapshot's row.
    public let writer: UInt32
    /// The hash of the last event in the snapshot; ``EventHash/none`` while it is not known.
    public internal(set) var history: EventHash

    /// A stamp, whose history is that of the head if the snapshot has reached it.
    public init(ledgerSequence: Int64, head: EventHash, sequence: Int64, projection: Int16, writer: UInt32) {
        history = sequence == ledgerSequence ? head : .none
        self.ledgerSequence = ledgerSequence
        self.head = head
        self.sequence = sequence
        self.projection = projection
        self.writer = writer
    }
}

/// The hash of an event, in no more memory than its 32 bytes: of stamps there are very many.
public struct EventHash: Hashable, Sendable {
    private let first: UInt64
    private let second: UInt64
    private let third: UInt64
    private let fourth: UInt64

    /// The hash of no event.
    public static let none = EventHash(0, 0, 0, 0)

    /// The first eight bytes, by which a snapshot's readers tell one history of a job from another.
    public var prefix: UInt64 { first }

    /// The hash of these bytes, eight in each number.
    public init(_ first: UInt64, _ second: UInt64, _ third: UInt64, _ fourth: UInt64) {
        self.first = first
        self.second = second
        self.third = third
        self.fourth = fourth
    }
}

/// A job with its snapshot, and which state of it that is.
public struct StampedJob: Sendable {
    public var view: JobView
    public var stamp: SnapshotStamp

    public init(view: JobView, stamp: SnapshotStamp) {
        self.view = view
        self.stamp = stamp
    }
}
