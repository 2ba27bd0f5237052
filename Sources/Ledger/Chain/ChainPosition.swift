/// The sequence and the hash of an event.
///
/// If users who can change the ledger cannot change this position, it proves that this event and all earlier
/// events are unchanged.
public struct ChainPosition: Hashable, Sendable {
    /// The sequence of the event.
    public var sequence: Int64
    /// The hash of the event, 32 bytes.
    public var hash: [UInt8]

    public init(sequence: Int64, hash: [UInt8]) {
        self.sequence = sequence
        self.hash = hash
    }
}
