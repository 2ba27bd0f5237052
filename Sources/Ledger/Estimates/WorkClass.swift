/// Executions of the same kind: of one label, or of labels alike.
struct WorkClass {
    /// The units left.
    var left: Double
    /// The mean units of an execution.
    var units: Double
    /// The distribution of an execution's seconds.
    var durations: Durations
    /// The label; nil if it stands for several.
    var label: Name?
    /// The number of running executions that report on it.
    var reporters = 0.0
    /// The units left that running executions will do.
    var assigned = 0.0
    /// The usual logarithms of known tasks that have not begun, ascending.
    var waitingTasks: [Double] = []
    /// The executions that have not begun.
    var waiting = 0.0

    /// The distribution of an execution's seconds.
    enum Durations {
        /// From executions on the label.
        case sampled(SampledDurations)
        /// From other labels: the mean of the logarithm is itself uncertain.
        ///
        /// `isFree`: no label resembles it, so nothing but the deviation between labels limits the mean.
        case guessed(mean: Double, meanDeviation: Double, deviation: Double, isFree: Bool)
    }

    init(label: Name?, left: Double, units: Double, durations: Durations) {
        self.label = label
        self.left = left
        self.units = max(.divisorMin, units)
        self.durations = durations
    }

    var isSampled: Bool { if case .sampled = durations { true } else { false } }

    /// The mean and standard deviation of the logarithm.
    var normal: (mean: Double, deviation: Double) {
        switch durations {
        case .sampled(let samples): (samples.mean, samples.deviation)
        case .guessed(let mean, let meanDeviation, let deviation, _):
            (mean, (deviation.squared + meanDeviation.squared).squareRoot())
        }
    }

    /// The executions left, running ones included.
    var executions: Double { left / units }
}

/// The distribution of durations of which some have been observed.
struct SampledDurations {
    /// The mean of the logarithm.
    let mean: Double
    /// The standard deviation of the logarithm, with a prior.
    let deviation: Double
    /// The logarithm of the median.
    let median: Double
    /// The standard deviation of the upper half around the median.
    ///
    /// The upper tail is often the longer one.
    let upperDeviation: Double
    /// The arithmetic mean in seconds.
    let meanSeconds: Double
    /// The number of samples.
    let count: Double
    /// The observed seconds, ascending.
    let seconds: [Double]

    /// The number of own samples from which those of history are left out.
    private static let ownSamplesEnough = 40
    /// The maximum number of samples of history that are added.
    private static let historySamplesMax = 8
    /// The deviation within the label before it is known, as so many samples.
    ///
    /// Without history, the deviation is that of the pool.
    private static let prior = (samplesWithHistory: 2.0, deviationWithHistory: 0.2, samples: 3.0)
    /// The samples that the deviation of all counts like in the upper one.
    private static let upperPriorSamples = 4.0

    /// - Precondition: The label has samples.
    init(_ label: LabelWork, _ pool: DurationPool, _ speed: JobSpeed) {
        let recent = label.pattern?.recent.map(\.logarithm) ?? []
        let window = Self.window(of: recent)
        var logarithms = Array(recent.suffix(window))
        var count = window < recent.count ? Double(window) : label.samples
        var isWhole = window == recent.count
        let usesHistory = label.hasSamplesInHistory
        if let earlier = label.inHistory, usesHistory, window < Self.ownSamplesEnough {
            let quantiles = earlier.quantiles
            let used = min(Self.historySamplesMax, quantiles.count)
            for index in 0..<used {
                let quantile = quantiles[Int((Double(index) + 0.5) * Double(quantiles.count) / Double(used))]
                logarithms.append(quantile.logarithm + speed.logarithm)
            }
            count = Double(logarithms.count)
            isWhole = false
        }
        logarithms.sort()
        let seconds = logarithms.map(\.exponential)
        let size = Double(logarithms.count)
        let mean = logarithms.reduce(0, +) / size
        let squares = logarithms.reduce(0) { $0 + ($1 - mean).squared }
        let prior =
            usesHistory
            ? (samples: Self.prior.samplesWithHistory, deviation: Self.prior.deviationWithHistory)
            : (samples: Self.prior.samples, deviation: pool.withinLabels)
        let deviation = ((squares + prior.samples * prior.deviation.squared) / (size - 1 + prior.samples)).squareRoot()
        let median = logarithms[logarithms.count / 2]
        let upper = logarithms[(logarithms.count / 2)...]
        let plain =
            usesHistory
            ? deviation
            : logarithms.count > 1 ? max(LogDuration.varianceMin, squares / size).squareRoot() : pool.withinLabels
        let upperSquares = upper.reduce(0) { $0 + ($1 - median).squared }
        self.mean = mean
        self.deviation = deviation
        self.median = median
        upperDeviation =
            ((upperSquares + Self.upperPriorSamples * plain.squared)
            / (Double(upper.count) + Self.upperPriorSamples)).squareRoot()
        meanSeconds = isWhole ? (label.pattern?.meanSeconds ?? 0) : seconds.reduce(0, +) / size
        self.count = count
        self.seconds = seconds
    }

    /// The windows as shares of all samples, and the least length of one.
    private static let windows = (shares: [1, 0.5, 0.25, 0.125], lengthMin: 8)
    /// The latest samples that a window must agree with: a part, at least so many.
    private static let latest = (divisor: 8, countMin: 6)
    /// The largest difference of means that agree, in standard errors.
    private static let errorsMax = 2.2
    /// The least standard deviation of the samples of a window.
    private static let windowDeviationMin = 0.05

    /// The number of newest samples that agree with the latest ones.
    ///
    /// The longest of all, a half, a quarter and an eighth, with a mean close to that of the latest ones. So a job that
    /// has become slower or faster is predicted by its present speed.
    static func window(of logarithms: [Double]) -> Int {
        let count = logarithms.count
        guard count >= windows.lengthMin else { return count }
        var window = count
        for share in windows.shares {
            let length = max(windows.lengthMin, Int(Double(count) * share))
            if length >= count, share < 1 { break }
            window = length
            let latest = max(Self.latest.countMin, count / Self.latest.divisor)
            if latest >= length { break }
            let candidates = logarithms.suffix(length)
            let mean = candidates.reduce(0, +) / Double(length)
            let squares = candidates.reduce(0) { $0 + ($1 - mean).squared } / Double(length)
            let latestMean = logarithms.suffix(latest).reduce(0, +) / Double(latest)
            let error = max(windowDeviationMin, squares.squareRoot()) / Double(latest).squareRoot()
            if (mean - latestMean).magnitude < errorsMax * error { break }
        }
        return window
    }
}
