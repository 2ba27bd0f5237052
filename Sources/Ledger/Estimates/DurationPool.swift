/// The durations of all labels together, from which unknown ones are guessed.
///
/// Durations are lognormal within a label; the labels' means of the logarithm are normal around a common mean.
struct DurationPool {
    /// The standard deviation within labels.
    ///
    /// Its prior counts like four samples. 0.35 is that of production workflows; values up to 0.6 gave the same
    /// measured error.
    let withinLabels: Double
    /// The standard deviation between labels, with a prior like two labels.
    ///
    /// 1.4 is that of production workflows; values from 1 to 2 gave the same measured error.
    let betweenLabels: Double
    /// The mean of the labels' means.
    let mean: Double
    /// The labels' means, ascending.
    let means: [Double]
    /// The mean units of an execution; 1 without samples.
    let units: Double

    private static let withinPrior = (deviation: 0.35, samples: 4.0)
    private static let betweenPrior = (deviation: 1.4, labels: 2.0)

    /// - Parameter oldest: The age of the oldest running execution, in seconds: all there is before the first sample.
    init(_ labels: [LabelWork], oldest: Double) {
        var (squares, samples) = (
            Self.withinPrior.samples * Self.withinPrior.deviation.squared, Self.withinPrior.samples
        )
        var (units, executions) = (0.0, 0.0)
        var means: [Double] = []
        for label in labels where label.samples > 0 {
            guard let pattern = label.pattern else { continue }
            if pattern.samples > 1 {
                squares += pattern.squaredDeviations
                samples += Double(pattern.samples - 1)
            }
            units += Double(pattern.units)
            executions += Double(pattern.samples)
            means.append(pattern.meanLogarithm)
        }
        means.sort()
        self.means = means
        withinLabels = (squares / samples).squareRoot()
        let mean =
            means.isEmpty
            ? max(oldest, LogDuration.secondsMin).naturalLogarithm : means.reduce(0, +) / Double(means.count)
        self.mean = mean
        squares = Self.betweenPrior.labels * Self.betweenPrior.deviation.squared
        for labelMean in means { squares += (labelMean - mean).squared }
        let labelCount = Self.betweenPrior.labels + max(0, Double(means.count) - 1)
        betweenLabels = (squares / labelCount).squareRoot()
        self.units = executions > 0 ? units / executions : 1
    }
}
