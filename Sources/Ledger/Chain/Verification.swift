/// The result of a check of a job's ledger.
///
/// The check recomputes the hash chain from the events and compares it with the stored hashes.
public struct Verification: Hashable, Sendable {
    /// The last event up to which everything is as it was recorded.
    public var sequence: EventSequence
    /// The hash of that event.
    public var headHash: EventHash
    /// The last event that the job's head names.
    ///
    /// If the job has no head: the last stored event.
    public var ledgerSequence: EventSequence
    /// The first fault; nil if there is none.
    public var fault: Fault?
    /// The time when the job was retired; nil if it was not.
    ///
    /// Its events are in an export. Only the record of the retirement and the head were compared.
    public var retiredAt: Timestamp?

    public init(
        sequence: EventSequence, headHash: EventHash, ledgerSequence: EventSequence, fault: Fault? = nil,
        retiredAt: Timestamp? = nil
    ) {
        self.sequence = sequence
        self.headHash = headHash
        self.ledgerSequence = ledgerSequence
        self.fault = fault
        self.retiredAt = retiredAt
    }

    /// Whether the check found no fault in the events that it examined.
    public var isIntact: Bool { fault == nil }

    /// Whether the check is finished.
    ///
    /// It found a fault or reached the end of the ledger. The checked range may end before the ledger does.
    public var isComplete: Bool { fault != nil || sequence >= ledgerSequence }

    /// A range of a job's ledger to check.
    ///
    /// A large ledger is checked range by range, each beginning at the result of the previous one.
    public struct Range: Hashable, Sendable {
        /// The event after which the range begins, with its hash; nil is the beginning.
        public var after: ChainPosition?
        /// The maximum number of events to check; nil for all.
        public var limit: Int?
        /// A trusted copy of the hash of one of its events.
        public var anchor: ChainPosition?

        public init(after: ChainPosition? = nil, limit: Int? = nil, anchor: ChainPosition? = nil) {
            self.after = after
            self.limit = limit
            self.anchor = anchor
        }
    }

    /// A difference between a ledger and its recorded state.
    public struct Fault: Hashable, Sendable {
        public var kind: Kind
        /// The event concerned.
        public var sequence: EventSequence
        /// The description of the fault, as a sentence without a full stop.
        public var detail: String

        public init(_ kind: Kind, at sequence: EventSequence, _ detail: String) {
            self.kind = kind
            self.sequence = sequence
            self.detail = detail
        }
    }

    /// The kind of a fault.
    public enum Kind: String, CaseIterable, Hashable, Sendable {
        /// An event is missing: it was deleted or moved, or the end was cut off.
        case missing
        /// There are events beyond the job's head.
        case surplus
        /// An event or its hash was changed, or events were exchanged.
        case altered
        /// The head does not match the last event, or is missing.
        ///
        /// Or it does not match the record of the job's retirement.
        case head
        /// The job's description does not match its first event.
        case description
        /// The chain is consistent but contradicts the anchor.
        ///
        /// The ledger was rewritten, its end was cut off, or an old copy was restored.
        case anchor
    }
}
