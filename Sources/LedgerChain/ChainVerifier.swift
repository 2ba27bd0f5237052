public import Ledger

/// Recomputes the hash chain of a job and stops at the first fault.
public struct ChainVerifier: Sendable {
    /// The expected content of the first event; nil if the verifier begins after it.
    private let first: (description: JobDescription, createdAt: Timestamp)?
    private let anchor: ChainPosition?
    private var chain: HashChain
    private var sequence: EventSequence
    private var recordedAt: Timestamp
    private var fault: Verification.Fault?

    /// Creates a verifier that begins with the first event.
    ///
    /// - Parameters:
    ///   - description: The current description of the job.
    ///   - createdAt: The stored creation time of the job.
    ///   - anchor: A trusted copy of the hash of one of its events.
    public init(
        job: JobID, description: JobDescription, createdAt: Timestamp, anchor: ChainPosition? = nil
    ) {
        first = (description, createdAt)
        self.anchor = anchor
        chain = HashChain(job: job)
        sequence = 0
        recordedAt = .earliest
    }

    /// Creates a verifier that continues after an event that was checked before.
    ///
    /// - Parameter recordedAt: The time when that event was recorded.
    public init(after event: ChainPosition, recordedAt: Timestamp, anchor: ChainPosition? = nil) {
        first = nil
        self.anchor = anchor
        chain = HashChain(lastHash: event.hash)
        sequence = event.sequence
        self.recordedAt = recordedAt
    }

    /// The last event that was checked, and its recomputed hash.
    public var position: ChainPosition { ChainPosition(sequence: sequence, hash: chain.lastHash) }

    /// Returns the result so far, for a job that ends at `ledgerSequence`.
    public func verification(ledgerSequence: EventSequence) -> Verification {
        Verification(sequence: sequence, headHash: chain.lastHash, ledgerSequence: ledgerSequence, fault: fault)
    }

    /// The fault that was found; nil if there is none so far.
    public var foundFault: Verification.Fault? { fault }

    /// Checks the next stored event and the hash stored with it. Costs one SHA-256.
    ///
    /// - Returns: Whether there is no fault so far.
    public mutating func check(_ event: Event, hash: EventHash) -> Bool {
        guard fault == nil else { return false }
        fault = checkAndAdvance(event, hash)
        return fault == nil
    }

    private mutating func checkAndAdvance(_ event: Event, _ hash: EventHash) -> Verification.Fault? {
        let expected = sequence + 1
        guard event.sequence == expected else {
            return Verification.Fault(
                .missing, at: expected, "event \(expected) is missing; event \(event.sequence) follows")
        }
        var next = chain
        guard next.append(event) == hash else {
            return Verification.Fault(
                .altered, at: expected,
                "event \(expected) does not match its stored hash: one of the two was changed, or the event was moved"
            )
        }
        guard event.recordedAt >= recordedAt else {
            return Verification.Fault(
                .altered, at: expected, "event \(expected) was recorded before the previous event")
        }
        if expected == 1 {
            if let fault = faultInFirst(event) { return fault }
        } else if case .jobCreated = event.body {
            return Verification.Fault(
                .altered, at: expected, "event \(expected) creates the job, which only the first event may do")
        }
        if let anchor, anchor.sequence == expected, anchor.hash != hash {
            return Verification.Fault(
                .anchor, at: expected,
                "all hashes up to event \(expected) are consistent, but the anchor has another hash for it: the ledger was rewritten"
            )
        }
        chain = next
        sequence = expected
        recordedAt = event.recordedAt
        return nil
    }

    private func faultInFirst(_ event: Event) -> Verification.Fault? {
        guard case .jobCreated(let description) = event.body else {
            return Verification.Fault(.altered, at: 1, "the first event does not create the job")
        }
        guard let first, first.description == description, first.createdAt == event.recordedAt else {
            return Verification.Fault(
                .description, at: 1, "the job's name, key, tags or creation time differ from its first event")
        }
        return nil
    }

    /// Records that a stored event cannot be decoded.
    public mutating func recordUnreadableEvent() {
        record(.altered, at: sequence + 1, "an event after \(sequence) contains values that the ledger never writes")
    }

    /// Records that the next event has values in columns that its type does not use.
    ///
    /// No hash covers these columns.
    public mutating func recordUnusedColumns() {
        record(
            .altered, at: sequence + 1,
            "event \(sequence + 1) has values in columns that its type does not use")
    }

    /// Records that the event at which the verifier begins is missing or has changed.
    public mutating func recordChangedStart() {
        record(.altered, at: sequence, "event \(sequence) has changed since it was checked")
    }

    /// Compares the last event with the head of the job, after all events were checked.
    ///
    /// - Parameters:
    ///   - head: The job's head when the verifier began, and the hash there; nil if there is none.
    ///   - headRecordedAt: The recorded time of the head's event; nil if it is not to be compared.
    ///   - lastStored: The last event that was stored at the same moment; 0 if there is none.
    public mutating func finish(head: ChainPosition?, headRecordedAt: Timestamp? = nil, lastStored: EventSequence) {
        guard let head else { return record(.head, at: sequence, "the job has no head") }
        if sequence < head.sequence {
            record(
                .missing, at: sequence + 1, "the head is at \(head.sequence), but the events end at \(sequence)")
        } else if lastStored > head.sequence {
            record(
                .surplus, at: head.sequence + 1,
                "the head is at \(head.sequence), but the events end at \(lastStored)")
        } else if chain.lastHash != head.hash {
            record(.head, at: sequence, "the hash of the head differs from that of the last event")
        } else if let headRecordedAt, headRecordedAt != recordedAt {
            record(.head, at: sequence, "the recorded time of the head differs from that of the last event")
        } else if let anchor, anchor.sequence > sequence {
            record(
                .anchor, at: sequence + 1,
                "the ledger was anchored at event \(anchor.sequence), but ends at \(sequence): its end was cut off, or an old copy was restored"
            )
        }
    }

    private mutating func record(_ kind: Verification.Kind, at sequence: EventSequence, _ detail: String) {
        guard fault == nil else { return }
        fault = Verification.Fault(kind, at: sequence, detail)
    }
}
