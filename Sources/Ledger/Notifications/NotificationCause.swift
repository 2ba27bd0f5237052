/// The cause of a notification.
public struct NotificationCause: Hashable, Sendable {
    /// The event or the moment that identifies a cause within its job and kind.
    public enum Origin: Hashable, Sendable {
        /// An event, by its sequence.
        case event(EventSequence)
        /// A moment.
        case moment(Timestamp)
    }

    /// The job; nil for a test of a subscription.
    public let job: JobID?
    public let kind: NotificationKind
    public let origin: Origin
    /// When the event was recorded, or the moment was noticed.
    public let at: Timestamp

    public init(job: JobID?, kind: NotificationKind, origin: Origin, at: Timestamp) {
        self.job = job
        self.kind = kind
        self.origin = origin
        self.at = at
    }
}
