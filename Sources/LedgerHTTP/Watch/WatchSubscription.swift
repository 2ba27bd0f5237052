/// A subscription with its buffer.
///
/// The subscription ends when the object is released.
final class WatchSubscription: Sendable {
    let buffer: NewestUpdateBuffer
    private let unsubscribe: @Sendable () -> Void

    init(buffer: NewestUpdateBuffer, unsubscribe: @escaping @Sendable () -> Void) {
        self.buffer = buffer
        self.unsubscribe = unsubscribe
    }

    deinit { unsubscribe() }
}

/// A subscription that waits for the first snapshots of its subject.
final class PendingWatch: Sendable {
    let subject: WatchSubscriptionTable.Subject
    let whenDone: @Sendable (WatchSubscription?) -> Void

    init(
        subject: WatchSubscriptionTable.Subject, whenDone: @escaping @Sendable (WatchSubscription?) -> Void
    ) {
        self.subject = subject
        self.whenDone = whenDone
    }
}
