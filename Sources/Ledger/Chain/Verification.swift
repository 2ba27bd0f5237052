/// What a check of a job's ledger has found: the hash chain recomputed from the events, and compared with what is stored.
public struct Verification: Hashable, Sendable {
    /// The last event up to which everything is as it was recorded.
    public var sequence: Int64
    /// The hash of that event.
    public var headHash: [UInt8]
    /// The first thing that is wrong; nil where nothing is.
    public var fault: Fault?

    public init(sequence: Int64, headHash: [UInt8], fault: Fault? = nil) {
        self.sequence = sequence
        self.headHash = headHash
        self.fault = fault
    }

    /// Whether nothing is wrong.
    public var isWhole: Bool { fault == nil }

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
    }
}

/// Recomputes the chain of a job, event by event, and stops at the first thing that is wrong.
public struct ChainCheck: Sendable {
    private let description: JobDescription
    private let createdAt: Timestamp
    private var chain: HashChain
    private var sequence: Int64 = 0
    private var recordedAt = Timestamp.earliest
    private var fault: Verification.Fault?

    /// A check from the first event on.
    ///
    /// - Parameters:
    ///   - description: What the job is called now.
    ///   - createdAt: When it is said to have been created.
    public init(job: JobID, description: JobDescription, createdAt: Timestamp) {
        self.description = description
        self.createdAt = createdAt
        chain = HashChain(job: job)
    }

    /// What has been found so far.
    public var verification: Verification {
        Verification(sequence: sequence, headHash: chain.head, fault: fault)
    }

    /// Checks the next event that is stored, with the hash that is stored with it. Costs one SHA-256.
    ///
    /// - Returns: Whether all is well so far.
    public mutating func check(_ event: Event, hash: [UInt8]) -> Bool {
        guard fault == nil else { return false }
        fault = wrong(event, hash)
        return fault == nil
    }

    private mutating func wrong(_ event: Event, _ hash: [UInt8]) -> Verification.Fault? {
        let expected = sequence + 1
        guard event.sequence == expected else {
            return Verification.Fault(
                .missing, at: expected, "event \(expected) is not there; \(event.sequence) follows")
        }
        var next = chain
        guard next.append(event) == hash else {
            return Verification.Fault(
                .altered, at: expected,
                "event \(expected) does not give the hash that is stored with it: one of the two was changed, or the event stood elsewhere"
            )
        }
        guard event.recordedAt >= recordedAt else {
            return Verification.Fault(.altered, at: expected, "event \(expected) was recorded before the one before it")
        }
        if expected == 1 {
            guard case .jobCreated(let first) = event.body else {
                return Verification.Fault(.altered, at: 1, "the first event does not create the job")
            }
            guard first == description, event.recordedAt == createdAt else {
                return Verification.Fault(
                    .description, at: 1,
                    "the job's name, key, tags or time of creation are not those of its first event")
            }
        }
        chain = next
        sequence = expected
        recordedAt = event.recordedAt
        return nil
    }

    /// An event is stored that cannot be read.
    public mutating func noteUnreadable() {
        guard fault == nil else { return }
        fault = Verification.Fault(
            .altered, at: sequence + 1, "an event after \(sequence) holds what the ledger never writes")
    }

    /// Compares the last event with the head of the job.
    ///
    /// - Parameters:
    ///   - head: Where the head says that the job stood when the check began, and the hash there; nil where there is none.
    ///   - lastStored: The last event that was stored at the same moment; 0 for none.
    public mutating func finish(head: (sequence: Int64, hash: [UInt8])?, lastStored: Int64) {
        guard fault == nil else { return }
        guard let head else {
            fault = Verification.Fault(.head, at: sequence, "the job has no head")
            return
        }
        if sequence < head.sequence {
            fault = Verification.Fault(
                .missing, at: sequence + 1, "the head stands at \(head.sequence), and the events end at \(sequence)")
        } else if lastStored > head.sequence {
            fault = Verification.Fault(
                .surplus, at: head.sequence + 1,
                "the head stands at \(head.sequence), and the events end at \(lastStored)")
        } else if chain.head != head.hash {
            fault = Verification.Fault(.head, at: sequence, "the head has another hash than the last event")
        }
    }
}
