internal import Ledger

/// The settings of a projection worker, with the reason for every limit.
public struct ProjectionSettings: Sendable {
    /// Maximum number of concurrent steps.
    ///
    /// Steps of different jobs do not wait for each other. More steps than the database has cores bring nothing.
    public var concurrency = 2
    /// Maximum number of jobs folded in one step.
    ///
    /// If many jobs have few events each, one transaction handles them all.
    public var jobsPerStepMax = 500
    /// Maximum number of events of one job folded in one step.
    ///
    /// It limits the memory used and lets other jobs proceed.
    public var eventsPerJobMax = 5_000
    /// Maximum number of events of all jobs folded in one step.
    ///
    /// Each job may have at least one.
    public var eventsPerStepMax = 20_000
    /// Maximum number of executions with states in memory at the same time.
    ///
    /// The limit counts the executions that events name; the last execution of each one's task is loaded as well. An
    /// execution that has reported on a thousand labels takes about 100 kB, on a few labels a few hundred bytes. An
    /// execution that is superseded also needs the indicators that it counted on.
    public var executionsPerPortionMax = 1_000
    /// Maximum memory of the states of recently folded jobs, in bytes.
    ///
    /// It is an estimate; 0 keeps none. A task takes about a kilobyte, and up to six with numbered reports. The states
    /// of all jobs that report at the same time should fit in.
    public var recentFoldBytesMax = 64 << 20
    /// Maximum memory of the state of one such job.
    ///
    /// It is enough for 700 to 4,000 tasks. A larger job leaves room for others, and its state is read again from time
    /// to time.
    public var recentFoldBytesPerJobMax = 4 << 20
    /// Minimum time from the start of one step to the start of the next.
    ///
    /// Under load, many small steps therefore become fewer larger ones. An event waits at most this long for its step
    /// to start, as long as the worker keeps up. The first event after a pause is folded at once.
    public var stepInterval: Duration = .milliseconds(8)
    /// The interval of checking all jobs, in case a hint was lost.
    public var sweepInterval: Duration = .seconds(5)
    /// Maximum number of jobs checked by one query of a sweep.
    public var sweepJobsMax = 10_000
    /// The pause before a job held by another worker is retried.
    public var heldRetryPause: Duration = .milliseconds(10)
    /// The pause before a failed job is retried.
    ///
    /// It doubles from the first to the longest with each failure.
    public var failureRetryPause: (first: Duration, longest: Duration) = (.milliseconds(200), .seconds(30))

    /// The share of time for which jobs that have just ended are summarised.
    public var estimateShare = 0.5
    /// The share of time for which states and summaries are built after an upgrade.
    public var rebuildShare = 0.2
    /// Maximum number of executions of a job that is folded again.
    ///
    /// It is for a summary or a missing state. The fold takes some 1.3 kB of memory for each.
    public var estimateExecutionsMax: Int64 = EstimateState.rebuiltExecutionsMax
    /// Maximum number of events read by one statement for a summary.
    public var estimateEventsMax: Int = 500_000

    /// Creates the default settings.
    public init() {}
}
