/// The comparison of a completed job's estimates with its end.
public struct EstimateScore: Hashable, Sendable {
    /// The number of moments with a prediction.
    public var estimates: Int64
    /// The median of |ln(estimated / true)|.
    public var logarithmicError: Double
    /// The share of moments at which the job ended before p90.
    public var coverageP90: Double
    /// The share of moments at which the job ended after p10.
    public var coverageP10: Double
    /// Whether the job ended within the interval given at half of its duration.
    public var endedInside: Bool

    public init(
        estimates: Int64, logarithmicError: Double, coverageP90: Double, coverageP10: Double, endedInside: Bool
    ) {
        self.estimates = estimates
        self.logarithmicError = logarithmicError
        self.coverageP90 = coverageP90
        self.coverageP10 = coverageP10
        self.endedInside = endedInside
    }
}
