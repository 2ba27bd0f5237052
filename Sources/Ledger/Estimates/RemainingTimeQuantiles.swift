/// Quantiles of the remaining time from simulated ones.
struct RemainingTimeQuantiles {
    /// The median.
    private(set) var median: Double
    /// The logarithms of p90 over the median and of the median over p10.
    private(set) var above: Double
    private(set) var below: Double

    /// The shortest predicted time in seconds.
    private static let secondsMin = 1e-3

    /// - Parameters:
    ///   - draws: The simulated remaining seconds, at least one.
    ///   - elapsed: The seconds since the job's first execution.
    ///   - hasHistory: Whether earlier jobs were used.
    init(_ draws: [Double], elapsed: Double, hasHistory: Bool) {
        let ascending = draws.sorted()
        // A job of length T is met at a given moment with density 1/T. Lengths much beyond the elapsed time are
        // therefore less likely than the draws say.
        let weights = ascending.map { 1 / max(1e-9, elapsed + $0) }
        let even = [Double](repeating: 1, count: ascending.count)
        median = Self.quantile(0.5, of: ascending, weights)
        let low = Self.quantile(0.1, of: ascending, weights)
        // An upper bound takes no credit from the weights.
        let high = max(median, Self.quantile(0.9, of: ascending, even))
        // Jobs are late more often than early, by stalls, slowdowns and stragglers that no draw contains. 0.25 is the
        // least with which none of the measured kinds of jobs is late in more than 30 % of the estimates.
        let (late, early) = hasHistory ? (0.10, 0.05) : (0.25, 0.05)
        above = ((high / median).naturalLogarithm.squared + 1.64 * late.squared).squareRoot()
        below = ((median / low).naturalLogarithm.squared + 1.64 * early.squared).squareRoot()
    }

    /// Corrects the median and widens the interval by the errors of earlier jobs.
    mutating func calibrate(by history: EstimateHistory, elapsed: Double) {
        let phase = RunSummary.Errors.phase(elapsed: elapsed, remaining: median)
        median *= history.correction(phase: phase)
        let widening = history.widening
        above *= widening.above
        below *= widening.below
    }

    var remaining: Estimate.Remaining {
        let middle = max(median, Self.secondsMin)
        return Estimate.Remaining(
            p10: middle * (-below).exponential, p50: middle, p90: middle * above.exponential)
    }

    /// The weighted quantile of ascending values.
    ///
    /// It is linear between the midpoints of their weights.
    private static func quantile(_ share: Double, of ascending: [Double], _ weights: [Double]) -> Double {
        let target = share * weights.reduce(0, +)
        var (cumulated, previous) = (0.0, (position: 0.0, value: ascending[0]))
        for (value, weight) in zip(ascending, weights) {
            let position = cumulated + weight / 2
            if target < position {
                let width = position - previous.position
                let part = width > 0 ? ((target - previous.position) / width).clamped(to: 0...1) : 1
                return max(secondsMin, previous.value + (value - previous.value) * part)
            }
            cumulated += weight
            previous = (position, value)
        }
        return max(secondsMin, previous.value)
    }
}
