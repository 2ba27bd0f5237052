/// Quantiles of the remaining time from simulated ones.
struct RemainingTimeQuantiles {
    /// The median.
    private(set) var median: Double
    /// The logarithms of p90 over the median and of the median over p10.
    private(set) var above: Double
    private(set) var below: Double

    /// The square of the normal quantile of 0.9, which is 1.28.
    private static let z90Squared = 1.64
    /// The deviations of the logarithm that no draw contains.
    ///
    /// Jobs are late more often than early, by stalls, slowdowns and stragglers. 0.25 is the least with which none of
    /// the measured kinds of jobs is late in more than 30 % of the estimates.
    private static let widening = (late: 0.25, lateWithHistory: 0.10, early: 0.05)

    /// - Parameters:
    ///   - draws: The simulated remaining seconds, at least one.
    ///   - elapsed: The seconds since the job's first execution.
    ///   - hasHistory: Whether earlier jobs were used.
    init(_ draws: [Double], elapsed: Double, hasHistory: Bool) {
        let ascending = draws.sorted()
        // A job of length T is met at a given moment with density 1/T. Lengths much beyond the elapsed time are
        // therefore less likely than the draws say.
        let weights = ascending.map { 1 / max(.divisorMin, elapsed + $0) }
        let even = [Double](repeating: 1, count: ascending.count)
        median = Self.quantile(0.5, of: ascending, weights)
        let low = Self.quantile(0.1, of: ascending, weights)
        // The weights must not lower an upper bound.
        let high = max(median, Self.quantile(0.9, of: ascending, even))
        let late = hasHistory ? Self.widening.lateWithHistory : Self.widening.late
        above = ((high / median).naturalLogarithm.squared + Self.z90Squared * late.squared).squareRoot()
        below = ((median / low).naturalLogarithm.squared + Self.z90Squared * Self.widening.early.squared).squareRoot()
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
        let middle = max(median, LogDuration.secondsMin)
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
                return max(LogDuration.secondsMin, previous.value + (value - previous.value) * part)
            }
            cumulated += weight
            previous = (position, value)
        }
        return max(LogDuration.secondsMin, previous.value)
    }
}
