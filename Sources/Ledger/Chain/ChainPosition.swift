/// The sequence and the hash of an event.
///
/// If users who can change the ledger cannot change this position, it proves that this event and all earlier
/// events are unchanged.
public struct ChainPosition: Hashable, Sendable {
    /// The sequence of the event.
    public var sequence: EventSequence
    /// The hash of the event.
    public var hash: EventHash

    public init(sequence: EventSequence, hash: EventHash) {
        self.sequence = sequence
        self.hash = hash
    }
}
