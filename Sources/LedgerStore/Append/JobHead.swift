internal import Ledger
internal import LedgerChain

/// The last event of a job, as stored in its head row.
struct JobHead: Sendable {
    var sequence: EventSequence
    var recordedAt: Timestamp
    var chain: HashChain
    /// Whether the job was retired, so that its head cannot move.
    var isRetired = false
    /// The sequence after which all events that cancel the job are known.
    var cancelsKnownAfter: EventSequence
    /// The last known event that cancels the job; nil for none.
    var lastCancel: EventSequence?

    init(sequence: EventSequence, recordedAt: Timestamp, chain: HashChain, isRetired: Bool = false) {
        self.sequence = sequence
        self.recordedAt = recordedAt
        self.chain = chain
        self.isRetired = isRetired
        cancelsKnownAfter = sequence
    }

    /// Whether an event after this one cancels the job; nil if unknown.
    func isCanceled(after sequence: EventSequence) -> Bool? {
        guard sequence >= cancelsKnownAfter else { return nil }
        return lastCancel.map { $0 > sequence } ?? false
    }

    var position: ChainPosition { ChainPosition(sequence: sequence, hash: chain.lastHash) }
}
