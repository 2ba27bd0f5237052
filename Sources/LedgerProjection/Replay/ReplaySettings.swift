/// The settings of replays, with the reason for every limit.
public struct ReplaySettings: Sendable {
    /// Maximum number of batches that one process works on at the same time.
    ///
    /// The events of one batch are folded while PostgreSQL reads those of the other.
    public var concurrency = 2
    /// The interval of checking whether another process has begun a replay.
    public var lookInterval: Duration = .seconds(5)
    /// Maximum number of events of a small job.
    ///
    /// Small jobs are folded many at a time; a larger job is read in one pass and folded in memory.
    public var smallJobEventsMax: Int = 2_000
    /// Maximum memory in bytes for folding jobs of one batch together.
    public var bytesInMemoryMax = 32 << 20
    /// Maximum memory in bytes for one large job.
    ///
    /// A job that exceeds `bytesInMemoryMax` is folded while no other job of that size is folded in the same process,
    /// which therefore stays below 250 MB. A job that exceeds this limit, about 150,000
    /// executions, is stored part by part and compared in the database.
    public var largeJobBytesMax = 112 << 20
    /// Maximum number of projection parts stored by one statement, about 1.3 kB each.
    public var partsPerStatementMax = 10_000
    /// Maximum number of events of jobs folded and compared together.
    ///
    /// It is large enough that a few round trips do not matter.
    public var eventsPerCheckMax: Int = 100_000
    /// Maximum number of small jobs folded at the same time.
    public var jobsPerStepMax = 500
    /// Maximum number of jobs compared in one transaction.
    ///
    /// Their live snapshots are locked in it.
    public var jobsPerComparisonMax = 200
    /// Maximum number of events of one job folded before its changes are stored.
    public var eventsPerStoreMax = 500_000
    /// Maximum number of changed parts of one job in memory, about 1.3 kB each.
    ///
    /// Beyond it, they are stored.
    public var changesPerStoreMax = 50_000
    /// Maximum number of executions of one job in memory.
    ///
    /// A job with more continues in small steps, which load the states they need.
    public var executionsInMemoryMax = 100_000
    /// Maximum number of attempts to catch up with the live projections.
    ///
    /// After catching up, the built projections replace the live ones.
    public var switchAttemptsMax = 10
    /// Maximum number of consecutive transient failures before a replay fails.
    public var failuresMax = 20

    /// Creates the default settings.
    public init() {}
}
