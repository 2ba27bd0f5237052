public import Ledger

/// The settings of a sender of notifications, with the reason for every limit.
public struct NotificationSettings: Sendable {
    /// The receivers to which notifications may be sent.
    public var targets = WebhookTargets.usual
    /// The maximum number of deliveries in progress.
    ///
    /// A receiver that does not respond holds one for 15 s.
    public var concurrency = 16
    /// The maximum number of deliveries in progress to one subscription.
    ///
    /// So a slow receiver leaves room for others.
    public var concurrencyPerSubscription = 4
    /// The interval of looking for due deliveries.
    ///
    /// Another process may have enqueued them, or an attempt must be repeated.
    public var pollInterval: Duration = .seconds(2)
    /// The time after which another process may repeat an attempt.
    ///
    /// It is longer than any attempt, so this process has probably ended.
    public var lease: Duration = .seconds(90)
    /// The interval of looking for late and stalled jobs, over all processes.
    public var searchInterval: Duration = .seconds(10)
    /// The maximum number of running jobs that are examined at once.
    ///
    /// An estimate takes about a millisecond, so a search takes at most a twentieth of a processor.
    public var searchedJobsMax = 500
    /// The interval of deleting old deliveries.
    public var cleaningInterval: Duration = .seconds(60)
    /// A PEM file of authorities, for receivers in tests; nil for the system's.
    package var authorities: String?
    /// Returns since when a running job has been stalled; nil if it is not.
    ///
    /// Tests replace it.
    package var stalls: @Sendable (JobView) -> JobStalls? = { $0.stalls }

    /// Creates the default settings.
    public init() {}
}
