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
    /// The range of its seconds, ascending, in ``CompletionSimulation/observed``.
    let observed: Range<Int>
    /// The weight of a task's usual duration against the mean of the class.
    let taskWeight: Double

    /// - Parameters:
    ///   - observed: Receives the observed seconds.
    ///   - taskSpread: The standard deviation of the logarithm of a known task's duration from job to job.
    init(_ work: WorkClass, taskSpread: Double, observed all: inout [Double]) {
        switch work.durations {
        case .sampled(let samples):
            let count = max(0.7, samples.count - (samples.count < 3 ? 0.3 : 0))
            isSampled = true
            isFree = false
            mean = samples.mean
            meanDeviation = samples.deviation / count.squareRoot()
            deviation = samples.deviation
            median = samples.median
            upperDeviation = samples.upperDeviation
            meanSeconds = samples.meanSeconds
            observed = all.count..<all.count + samples.seconds.count
            all += samples.seconds
        case .guessed(let mean, let meanDeviation, let deviation, let isFree):
            isSampled = false
            self.isFree = isFree
            self.mean = mean
            self.meanDeviation = meanDeviation
            self.deviation = deviation
            median = mean
            upperDeviation = deviation
            meanSeconds = mean.exponential
            observed = 0..<0
        }
        let spread = taskSpread.squared
        let between = max(0, work.normal.deviation.squared - spread)
        taskWeight = 4 * between / (4 * between + spread + 1e-9)
    }
}
