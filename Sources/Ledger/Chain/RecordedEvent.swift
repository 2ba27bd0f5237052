/// An event as it was recorded, with its link in the hash chain of its job.
public struct RecordedEvent: Hashable, Sendable {
    public var event: Event
    /// The hash.
    public var hash: EventHash

    public init(event: Event, hash: EventHash) {
        self.event = event
        self.hash = hash
    }
}
