/// The numbers of subscriptions and of waiting deliveries.
public struct NotificationCounts: Hashable, Sendable {
    public var subscriptions: Int64
    /// Those of the subscriptions that get no more deliveries.
    public var disabled: Int64
    /// The deliveries that wait for their first or for another attempt.
    public var pending: Int64
    /// The age of the oldest waiting delivery; 0 without any.
    public var oldestSeconds: Double

    public init(subscriptions: Int64 = 0, disabled: Int64 = 0, pending: Int64 = 0, oldestSeconds: Double = 0) {
        self.subscriptions = subscriptions
        self.disabled = disabled
        self.pending = pending
        self.oldestSeconds = oldestSeconds
    }
}
