/// An event's sequence and its hash.
///
/// Kept where nobody who can change the ledger can reach it, it vouches for that event and for every one before it.
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
