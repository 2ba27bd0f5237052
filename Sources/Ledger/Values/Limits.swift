/// All limits of the ledger.
///
/// They are part of its specification, and `GET /v1/limits` returns them.
public enum Limits {
    /// Unicode scalars in the name of a job.
    public static let jobNameLengths = 1...200
    /// Unicode scalars in the key of a job.
    public static let jobKeyLengths = 1...200
    /// Tags of one job.
    public static let tagsMax = 50
    /// Unicode scalars in the name of a tag.
    public static let tagNameLengths = 1...100
    /// Unicode scalars in the value of a tag.
    public static let tagValueLengths = 0...200
    /// Unicode scalars in the name of a task.
    public static let taskLengths = 1...200
    /// Unicode scalars in the name of an execution.
    public static let executionLengths = 1...200
    /// Unicode scalars in a label; the empty label is the default indicator.
    public static let labelLengths = 0...100
    /// Unicode scalars in the message of an event.
    public static let messageLengths = 1...1_000
    /// Unicode scalars in the link of an event.
    public static let linkLengths = 1...2_000
    /// Unicode scalars in the unit of an indicator.
    public static let unitLengths = 1...32
    /// Unicode scalars in the name of a part of an execution.
    public static let partLengths = 1...100
    /// Unicode scalars in the reporter of an event.
    public static let reporterLengths = 1...300
    /// Unicode scalars in the name of a token.
    public static let tokenNameLengths = 1...200
    /// Active tokens of one ledger; also the maximum number of listed tokens.
    public static let tokensMax = 10_000
    /// Unicode scalars in the name of a subscription.
    public static let subscriptionNameLengths = 1...200
    /// Subscriptions of one ledger.
    public static let subscriptionsMax = 1_000
    /// Waiting deliveries of one subscription; beyond them it is disabled.
    public static let pendingDeliveriesMax = 10_000
    /// The attempts of executions: the positive range of PostgreSQL's `integer`.
    public static let attempts: ClosedRange<Int64> = 1...2_147_483_647
    /// The numbers of reports: integers that are exact in every JSON parser.
    public static let reports: ClosedRange<Int64> = 1...9_007_199_254_740_991
    /// Increments of `total` and `done`: integers that are exact in every JSON parser.
    public static let increments: ClosedRange<Int64> = 0...9_007_199_254_740_991
    /// Labels of one execution, including the default indicator.
    public static let labelsPerExecutionMax = 1_000
    /// Events in one append.
    public static let eventsPerAppendMax = 10_000
}
