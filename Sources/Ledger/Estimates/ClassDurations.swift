/// The numbers of a class that draws need, without references.
///
/// Draws read them a hundred thousand times per estimate; counting references would take a third of the time.
struct ClassDurations {
    /// Whether executions of the class have been observed.
    let isSampled: Bool
    /// Whether no sampled label resembles the class.
    let isFree: Bool
    /// The mean of the logarithm; of a guessed class, the expected one.
    let mean: Double
    /// The standard deviation of the mean.
    let meanDeviation: Double
    /// The standard deviation of the logarithm within the class.
    let deviation: Double
    let median: Double
    let upperDeviation: Double
    let meanSeconds: Double
    /// Whether enough durations have been observed to draw from them.
    let isEmpirical: Bool
    /// The range of its durations in ``CompletionSimulation/drawableSeconds``.
    ///
    /// They are ascending. They are the observed seconds, or else quantiles of its lognormal distribution: in seconds
    /// if it is sampled, and else relative to its median.
    let secondsRange: Range<Int>
    /// The weight of a task's usual duration against the mean of the class.
    let taskWeight: Double

    /// The minimum number of samples from which durations are drawn.
    ///
    /// With fewer, they are drawn from a lognormal distribution.
    private static let empiricalMin = 8
    /// The numbers of quantiles of a distribution, for few and for many executions.
    private static let quantileCounts = (few: 32, many: 256, manyFrom: 8.0)
    /// The number below which samples count as fewer, and by how much.
    private static let fewSamples = (below: 3.0, deduction: 0.3)
    /// The weight of the variance between tasks against that from job to job.
    private static let betweenWeight = 4.0

    private static func add(_ durations: [Double], to all: inout [Double]) -> Range<Int> {
        defer { all += durations }
        return all.count..<all.count + durations.count
    }

    /// Midpoints of equal shares of a lognormal distribution.
    ///
    /// To compute them for each execution would take half of the time of an estimate.
    private static func quantiles(_ executions: Double, mean: Double, deviation: Double) -> [Double] {
        let standard = executions < quantileCounts.manyFrom ? fewQuantiles : manyQuantiles
        return standard.map { (mean + deviation * $0).exponential }
    }

    private static let fewQuantiles = standardQuantiles(quantileCounts.few)
    private static let manyQuantiles = standardQuantiles(quantileCounts.many)

    /// The midpoints of equal shares of the standard normal distribution.
    private static func standardQuantiles(_ count: Int) -> [Double] {
        (0..<count).map { ((Double($0) + 0.5) / Double(count)).normalQuantile }
    }

    /// - Parameters:
    ///   - taskSpread: The standard deviation of the logarithm of a known task's duration from job to job.
    ///   - drawableSeconds: Receives the durations of the class.
    init(_ work: WorkClass, taskSpread: Double, drawableSeconds: inout [Double]) {
        switch work.durations {
        case .sampled(let samples):
            let count = samples.count - (samples.count < Self.fewSamples.below ? Self.fewSamples.deduction : 0)
            isSampled = true
            isFree = false
            mean = samples.mean
            meanDeviation = samples.deviation / count.squareRoot()
            deviation = samples.deviation
            median = samples.median
            upperDeviation = samples.upperDeviation
            meanSeconds = samples.meanSeconds
            isEmpirical = samples.seconds.count >= Self.empiricalMin
            secondsRange = Self.add(
                isEmpirical
                    ? samples.seconds : Self.quantiles(work.waiting, mean: samples.mean, deviation: samples.deviation),
                to: &drawableSeconds)
        case .guessed(let mean, let meanDeviation, let deviation, let isFree):
            isSampled = false
            self.isFree = isFree
            self.mean = mean
            self.meanDeviation = meanDeviation
            self.deviation = deviation
            median = mean
            upperDeviation = deviation
            meanSeconds = mean.exponential
            isEmpirical = false
            secondsRange = Self.add(Self.quantiles(work.waiting, mean: 0, deviation: deviation), to: &drawableSeconds)
        }
        let variance = taskSpread.squared
        let between = max(0, work.normal.deviation.squared - variance)
        taskWeight = Self.betweenWeight * between / (Self.betweenWeight * between + variance + .divisorMin)
    }
}
