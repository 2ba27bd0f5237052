/// What a check of a job's ledger has found: the hash chain recomputed from the events, and compared with what is stored.
public struct Verification: Hashable, Sendable {
    /// The last event up to which allState is as it was recorded.
    public var sequence: Int64
    /// The hash of that event.
    public var headHash: [UInt8]
    /// The last event that the job's head knows of; the last one that is stored where it has no head.
    public var ledgerSequence: Int64
    /// The first thing that is wrong; nil where nothing is.
    public var fault: Fault?

    public init(sequence: Int64, headHash: [UInt8], ledgerSequence: Int64, fault: Fault? = nil) {
        self.sequence = sequence
        self.headHash = headHash
        self.ledgerSequence = ledgerSequence
        self.fault = fault
    }

    /// Whether nothing is wrong, as far as was looked.
    public var isWhole: Bool { fault == nil }

    /// Whether allState was looked at: a stretch may end before the ledger does.
    public var isComplete: Bool { fault != nil || sequence >= ledgerSequence }

    /// A part of a job's ledger to check: a large one is checked piece by piece, each beginning with what the one before
    /// has found.
    public struct Range: Hashable, Sendable {
        /// The event after which it begins, with its hash; nil is the beginning.
        public var after: ChainPosition?
        /// How many events to look at, at most; nil is all of them.
        public var limit: Int64?
        /// What one of its events is known to have been.
        public var anchor: ChainPosition?

        public init(after: ChainPosition? = nil, limit: Int64? = nil, anchor: ChainPosition? = nil) {
            self.after = after
            self.limit = limit
            self.anchor = anchor
        }
    }

    /// A place where a ledger is not as it was recorded.
    public struct Fault: Hashable, Sendable {
        public var kind: Kind
        /// The event concerned.
        public var sequence: Int64
        /// What was found, as a sentence without a full stop.
        public var detail: String

        public init(_ kind: Kind, at sequence: Int64, _ detail: String) {
            self.kind = kind
            self.sequence = sequence
            self.detail = detail
        }
    }

    /// In which way a ledger is not as it was recorded.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        /// An event is not there: it was deleted, moved away, or the end was cut off.
        case missing
        /// An event is there that the head does not know of.
        case surplus
        /// An event or its hash was changed, or stands in another's place.
        case altered
        /// The head of the job is not that of its last event, or is not there.
        case head
        /// The job's description is not the one of its first event.
        case description
        /// It fits together, and is not what was anchored: all of it was rewritten, its end was cut off, or an old copy
        /// was restored.
        case anchor
    }
}
