/// A subscription to notifications about jobs, without its secret.
public struct Subscription: Hashable, Sendable {
    /// The id of a subscription.
    public struct ID: Hashable, Sendable, CustomStringConvertible {
        /// Twelve characters, as in the id of a token.
        public let text: String

        /// Creates an id; nil if the text is not one.
        public init?(_ text: String) {
            guard let id = AccessToken.ID(text) else { return nil }
            self.text = id.text
        }

        public var description: String { text }
    }

    /// The form of the messages.
    public enum Format: String, CaseIterable, Hashable, Sendable {
        /// The job, the cause and a text, as JSON.
        case standard
        /// The text alone, for an incoming webhook of Slack or a compatible service.
        case slack
    }

    /// Why deliveries to a subscription ended.
    public enum DisabledReason: String, CaseIterable, Hashable, Sendable {
        /// The receiver responded with 410.
        case gone
        /// More deliveries waited than ``Limits/pendingDeliveriesMax``.
        case overflow
    }

    public let id: ID
    /// The name, for people; not necessarily unique.
    public let name: Name
    /// The address of the receiver.
    public let receiver: WebhookAddress
    /// The kinds of notifications, each once.
    public let kinds: [NotificationKind]
    /// The name that a job must have; nil for any.
    public let jobName: Name?
    /// The tags that a job must have.
    public let tags: [Name: Name]
    public let format: Format
    public let createdAt: Timestamp
    /// The reporter of the request that created it; nil without authentication.
    public let createdBy: Name?
    /// When and why deliveries ended; nil while it is active.
    public let disabled: (at: Timestamp, reason: DisabledReason)?

    public init(
        id: ID, name: Name, receiver: WebhookAddress, kinds: [NotificationKind], jobName: Name?, tags: [Name: Name],
        format: Format, createdAt: Timestamp, createdBy: Name?, disabled: (at: Timestamp, reason: DisabledReason)?
    ) {
        self.id = id
        self.name = name
        self.receiver = receiver
        self.kinds = kinds
        self.jobName = jobName
        self.tags = tags
        self.format = format
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.disabled = disabled
    }

    /// Whether it is about the job with this description.
    public func includes(_ job: JobDescription) -> Bool {
        (jobName == nil || jobName == job.name) && tags.allSatisfy { job.tags[$0.key] == $0.value }
    }

    /// The kind of the notification of a cause.
    ///
    /// Nil if the subscription does not ask for it.
    public func kind(for cause: NotificationKind) -> NotificationKind? {
        if kinds.contains(cause) { return cause }
        // A subscription to the end only includes failures and cancellations: a job ends with them too.
        let isEnd = cause == .failed || cause == .canceled
        return isEnd && kinds.contains(.finished) ? .finished : nil
    }

    /// Whether all its jobs are within a confinement.
    public func isWithin(_ confinement: Confinement) -> Bool {
        Confinement(tags: tags).isWithin(confinement)
    }

    public static func == (left: Subscription, right: Subscription) -> Bool {
        left.id == right.id && left.name == right.name && left.receiver == right.receiver
            && left.kinds == right.kinds && left.jobName == right.jobName && left.tags == right.tags
            && left.format == right.format && left.createdAt == right.createdAt && left.createdBy == right.createdBy
            && left.disabled?.at == right.disabled?.at && left.disabled?.reason == right.disabled?.reason
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}
