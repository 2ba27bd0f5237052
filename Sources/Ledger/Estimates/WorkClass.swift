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
        /// `isFree`: no label resembles it, so nothing but the spread between labels limits the mean.
        case guessed(mean: Double, meanDeviation: Double, deviation: Double, isFree: Bool)
    }

    init(label: Name?, left: Double, units: Double, durations: Durations) {
        self.label = label
        self.left = left
        self.units = max(1e-9, units)
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

    /// - Precondition: The label has samples.
    init(_ label: LabelWork, _ pool: DurationPool, _ speed: JobSpeed) {
        let recent = label.pattern?.recent.map(\.logarithm) ?? []
        let window = Self.window(of: recent)
        var logarithms = Array(recent.suffix(window))
        var count = window < recent.count ? Double(window) : label.samples
        var isWhole = window == recent.count
        let usesHistory = label.hasKnownSamples
        if let known = label.known, usesHistory, window < Self.ownSamplesEnough {
            let quantiles = known.quantiles
            let used = min(8, quantiles.count)
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
        let prior = usesHistory ? (samples: 2.0, deviation: 0.2) : (samples: 3.0, deviation: pool.withinLabels)
        let deviation = ((squares + prior.samples * prior.deviation.squared) / (size - 1 + prior.samples)).squareRoot()
        let median = logarithms[logarithms.count / 2]
        let upper = logarithms[(logarithms.count / 2)...]
        let plain =
            usesHistory
            ? deviation : logarithms.count > 1 ? max(0.0025, squares / size).squareRoot() : pool.withinLabels
        let upperSquares = upper.reduce(0) { $0 + ($1 - median).squared }
        self.mean = mean
        self.deviation = deviation
        self.median = median
        upperDeviation = ((upperSquares + 4 * plain.squared) / (Double(upper.count) + 4)).squareRoot()
        meanSeconds = isWhole ? (label.pattern?.meanSeconds ?? 0) : seconds.reduce(0, +) / size
        self.count = count
        self.seconds = seconds
    }

    /// The number of newest samples that agree with the latest ones.
    ///
    /// The longest of all, a half, a quarter and an eighth, at least 8, with a mean within 2.2 standard errors of the
    /// mean of the latest 6 or eighth. So a job that has become slower or faster is predicted by its present speed.
    static func window(of logarithms: [Double]) -> Int {
        let count = logarithms.count
        guard count >= 8 else { return count }
        var window = count
        for share in [1, 0.5, 0.25, 0.125] {
            let length = max(8, Int(Double(count) * share))
            if length >= count, share < 1 { break }
            window = length
            let latest = max(6, count / 8)
            if latest >= length { break }
            let candidates = logarithms.suffix(length)
            let mean = candidates.reduce(0, +) / Double(length)
            let squares = candidates.reduce(0) { $0 + ($1 - mean).squared } / Double(length)
            let latestMean = logarithms.suffix(latest).reduce(0, +) / Double(latest)
            let error = max(0.05, squares.squareRoot()) / Double(latest).squareRoot()
            if (mean - latestMean).magnitude < 2.2 * error { break }
        }
        return window
    }
}
