/// How a projection worker works. Every limit is here, with its reason.
public struct ProjectionSettings: Sendable {
    /// How many steps run at the same time. Steps of different jobs do not wait for each other; more than the
    /// database's cores bring nothing.
    public var concurrency = 2
    /// Jobs folded in one step, at most: with many jobs of few events each, one transaction serves them all.
    public var jobsPerStepMax = 500
    /// Events of one job folded in one step, at most: what is in memory stays bounded, and other jobs get their turn.
    public var eventsPerJobMax = 5_000
    /// Events of all jobs folded in one step, at most, except that each job may have one.
    public var eventsPerStepMax = 20_000
    /// Executions that events name whose states a step has in memory at the same time, at most. With each comes the last one
    /// of its task. One that has reported on a thousand labels takes some 100 kB, on a few a few hundred bytes; and one that
    /// loses its place needs the indicators that it counted on.
    public var executionsPerPortionMax = 1_000
    /// How long it takes at least from the beginning of one step to that of the next, so that under load many small
    /// steps become fewer larger ones: an event waits so long at most until its step begins, while no more is to be done
    /// than can be. The first event after a silence is folded at once.
    public var stepInterval: Duration = .milliseconds(8)
    /// How often all jobs are looked at, in case a hint got lost.
    public var sweepInterval: Duration = .seconds(5)
    /// How many jobs one query of a sweep looks at.
    public var sweepJobsMax = 10_000
    /// How soon a job is tried again that another worker holds.
    public var heldPause: Duration = .milliseconds(10)
    /// How soon a job is tried again that could not be folded, doubling from the first to the second.
    public var failurePause: (first: Duration, longest: Duration) = (.milliseconds(200), .seconds(30))

    public init() {}
}
