/// Every limit of the ledger, in one place. They are part of its meaning: `GET /v1/limits` answers them.
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
    /// Unicode scalars in a label; none is the default indicator.
    public static let labelLengths = 0...100
    /// The attempts that order executions: what PostgreSQL's `integer` holds.
    public static let attempts: ClosedRange<Int64> = 1...2_147_483_647
    /// The numbers that a reporter gives its reports: integers that every JSON reader holds exactly.
    public static let reports: ClosedRange<Int64> = 1...9_007_199_254_740_991
    /// Increments of `total` and `done`: integers that every JSON reader holds exactly.
    public static let increments: ClosedRange<Int64> = 0...9_007_199_254_740_991
    /// Labels of one execution, the default indicator included.
    public static let labelsPerExecutionMax = 1_000
    /// Events in one append.
    public static let eventsPerAppendMax = 10_000
}
