/// A notification to one subscription, with the result of sending it.
public struct Delivery: Hashable, Sendable {
    /// The state of a delivery.
    public enum State: String, CaseIterable, Hashable, Sendable {
        /// It is yet to be sent, or will be sent again. → `delivered`, `failed`
        case pending
        /// The receiver has accepted it.
        case delivered
        /// It was given up.
        case failed
    }

    /// The end of a page of deliveries, which are in the order of creation.
    public struct Cursor: Hashable, Sendable {
        public let createdAt: Timestamp
        public let id: String

        public init(createdAt: Timestamp, id: String) {
            self.createdAt = createdAt
            self.id = id
        }

        /// Parses a ``text``; nil if it is none.
        public init?(_ text: String) {
            let parts = text.split(separator: "-", maxSplits: 1)
            guard parts.count == 2, let microseconds = Int64(parts[0]),
                (Timestamp.earliest...Timestamp.latest).contains(Timestamp(microseconds: microseconds)),
                parts[1].utf8.count <= 100, !parts[1].utf8.contains(0)
            else { return nil }
            self.init(createdAt: Timestamp(microseconds: microseconds), id: String(parts[1]))
        }

        /// The text that callers send back.
        public var text: String { "\(createdAt.microseconds)-\(id)" }
    }

    /// The cursor of the page after this delivery.
    public var cursor: Cursor { Cursor(createdAt: createdAt, id: id) }

    /// The id of the message: the `webhook-id` of every attempt.
    public let id: String
    public let subscription: Subscription.ID
    public let cause: NotificationCause
    public let createdAt: Timestamp
    public let state: State
    /// The number of attempts so far, with one in progress.
    public let attempts: Int
    /// When the next attempt begins; nil if there will be none.
    public let nextAt: Timestamp?
    /// When the last attempt began.
    public let attemptedAt: Timestamp?
    /// When it was delivered or given up.
    public let endedAt: Timestamp?
    /// The status of the last response; nil without one.
    public let responseStatus: Int?
    /// Why the last attempt failed.
    public let error: String?

    public init(
        id: String, subscription: Subscription.ID, cause: NotificationCause, createdAt: Timestamp, state: State,
        attempts: Int, nextAt: Timestamp?, attemptedAt: Timestamp?, endedAt: Timestamp?, responseStatus: Int?,
        error: String?
    ) {
        self.id = id
        self.subscription = subscription
        self.cause = cause
        self.createdAt = createdAt
        self.state = state
        self.attempts = attempts
        self.nextAt = nextAt
        self.attemptedAt = attemptedAt
        self.endedAt = endedAt
        self.responseStatus = responseStatus
        self.error = error
    }
}
