/// The comparison of the estimates of a group of completed jobs with their ends.
public struct TrackRecord: Hashable, Sendable {
    /// The number of jobs, the newest ones.
    public var jobs: Int64
    /// The jobs that ended within the interval given at half of their duration.
    public var endedInside: Int64
    /// The factor by which a typical estimate was wrong, in either direction.
    ///
    /// 1 is exact; nil without jobs. It is the median over the jobs of each one's median.
    public var errorFactorP50: Double?
    /// The factor that nine of ten jobs stayed below.
    public var errorFactorP90: Double?
    /// The mean share of moments at which jobs ended after p10; nil without jobs.
    public var coverageP10: Double?
    /// The mean share of moments at which jobs ended before p90; nil without jobs.
    public var coverageP90: Double?

    public init(
        jobs: Int64 = 0, endedInside: Int64 = 0, errorFactorP50: Double? = nil, errorFactorP90: Double? = nil,
        coverageP10: Double? = nil, coverageP90: Double? = nil
    ) {
        self.jobs = jobs
        self.endedInside = endedInside
        self.errorFactorP50 = errorFactorP50
        self.errorFactorP90 = errorFactorP90
        self.coverageP10 = coverageP10
        self.coverageP90 = coverageP90
    }
}
