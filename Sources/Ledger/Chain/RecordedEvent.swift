/// An event as it was recorded, with its link in the hash chain of its job.
public struct RecordedEvent: Hashable, Sendable {
    public var event: Event
    /// The hash, 32 bytes.
    public var hash: [UInt8]

    public init(event: Event, hash: [UInt8]) {
        self.event = event
        self.hash = hash
    }
}
