extension CompletionSimulation {
    /// The share of durations, the shorter ones, that is drawn from those observed.
    ///
    /// The longest tenth comes from the distribution, which can exceed what was observed.
    private static let empiricalShare = 0.9
    /// The highest position in the distribution: the quantile of 1 is infinite.
    private static let positionMax = 1 - 1e-4
    /// The factors that widen the spread of the duration of a task with a usual one.
    private static let taskSpreadFactors = (waiting: 1.1, running: 1.12)
    /// The least standard deviation of the duration of an execution of no class.
    private static let unknownDeviationMin = 0.5
    /// The least number of samples longer than an age from which its rest is drawn.
    ///
    /// The second limit is a part of all samples.
    private static let longerSamplesMin = (count: 3, divisor: 5)
    /// The least divisor of two probabilities.
    private static let probabilityMin = 1e-300
    /// The deviations beyond which the quantiles of the rest are too coarse.
    private static let quantileZMax = 5.0
    /// The longest rest beyond them, as a share of the age.
    private static let beyondShare = 0.05

    /// Draws the seconds of an execution that has not begun.
    mutating func freshSeconds(of index: Int) -> Double {
        let work = durations[index]
        let u = state.random.uniform()
        if work.isEmpirical, u >= Self.empiricalShare {
            return upperSeconds(u, work, logFactor: state.logFactors[index])
        }
        let seconds = drawableSeconds[work.secondsRange.lowerBound + Int(u * Double(work.secondsRange.count))]
        return seconds * state.factors[index]
    }

    /// Draws the seconds of a task with a usual duration.
    mutating func usualTaskSeconds(_ usual: Double, in index: Int, speedShift: Double) -> Double {
        let mean = usualTaskMean(usual, in: index, speedShift: speedShift)
        return
            (mean + Self.taskSpreadFactors.waiting * conditions.taskSpread * state.random.normal()).exponential
    }

    /// The expected logarithm of a task with a usual duration.
    ///
    /// It is its usual one, shrunk to that of its class by its spread from job to job.
    private func usualTaskMean(_ usual: Double, in index: Int, speedShift: Double) -> Double {
        let work = durations[index]
        return work.mean + work.taskWeight * (usual + conditions.speed.logarithm - work.mean) + speedShift
    }

    private func upperSeconds(_ u: Double, _ work: ClassDurations, logFactor: Double) -> Double {
        (work.median + logFactor + work.upperDeviation * min(u, Self.positionMax).normalQuantile).exponential
    }

    /// Draws the remaining seconds of a running execution.
    mutating func residual(of index: Int, speedShift: Double) -> Double {
        let work = inputs[index]
        switch work.kind {
        case .reporting(let rest): return reportedResidual(rest)
        case .usualDuration(let usual):
            guard let classIndex = work.classIndex else { return silentResidual(work, nil) }
            return lognormalResidual(
                mean: usualTaskMean(usual, in: classIndex, speedShift: speedShift),
                deviation: Self.taskSpreadFactors.running * conditions.taskSpread, work)
        case .silent: return silentResidual(work, state.chosenClasses[index])
        }
    }

    /// Draws the rest of an execution that reports: its units left at its pace.
    private mutating func reportedResidual(_ rest: ReportedRest) -> Double {
        var seconds = rest.seconds * (state.random.normal() * rest.deviation - rest.meanCorrection).exponential
        if let gap = rest.lateGap {
            // It is late with its next report: it may be stuck.
            seconds += min(gap, pareto(gap))
        } else {
            seconds -= rest.secondsDone
        }
        return max(rest.secondsMin, seconds)
    }

    private mutating func silentResidual(_ work: RunningInput, _ index: Int?) -> Double {
        guard let index else {
            return lognormalResidual(
                mean: conditions.pool.mean,
                deviation: max(conditions.pool.withinLabels, Self.unknownDeviationMin), work)
        }
        let durations = durations[index]
        guard durations.isSampled else {
            return lognormalResidual(mean: state.logFactors[index], deviation: durations.deviation, work)
        }
        guard durations.isEmpirical else {
            return lognormalResidual(
                mean: durations.mean + state.logFactors[index], deviation: durations.deviation, work)
        }
        return empiricalResidual(work, durations, index)
    }

    /// Draws the rest from the samples that lasted longer, if there are enough of them.
    private mutating func empiricalResidual(
        _ work: RunningInput, _ durations: ClassDurations, _ index: Int
    ) -> Double {
        let (logFactor, factor) = (state.logFactors[index], state.factors[index])
        let count = durations.secondsRange.count
        let first = drawableSeconds[durations.secondsRange].partitioningIndex { $0 > work.age / factor }
        let longer = durations.secondsRange.upperBound - first
        let z = (work.logarithmOfAge - durations.median - logFactor) / durations.upperDeviation
        guard longer >= max(Self.longerSamplesMin.count, count / Self.longerSamplesMin.divisor),
            state.random.uniform() >= outlierProbability(z, durations.upperDeviation)
        else {
            return lognormalResidual(
                mean: durations.median + logFactor, deviation: durations.upperDeviation, work)
        }
        let u = state.random.uniform()
        // The position of this draw among all durations of the class, not only among the longer ones.
        let position = 1 - (1 - u) * Double(longer) / Double(count)
        let seconds =
            position < Self.empiricalShare
            ? drawableSeconds[first + Int(u * Double(longer))] * factor
            : upperSeconds(position, durations, logFactor: logFactor)
        return max(0, seconds - work.age)
    }

    /// The probability that an execution of this age is an outlier.
    private func outlierProbability(_ z: Double, _ deviation: Double) -> Double {
        let outlier = Self.outlierRate * outlierTail(z, deviation)
        return outlier / (outlier + (1 - Self.outlierRate) * normalSurvival(z) + Self.probabilityMin)
    }

    /// Draws the rest of a lognormal duration that exceeds the age, or of an outlier.
    private mutating func lognormalResidual(mean: Double, deviation: Double, _ work: RunningInput) -> Double {
        let z = (work.logarithmOfAge - mean) / deviation
        if state.random.uniform() < outlierProbability(z, deviation) { return pareto(work.age) }
        if z > Self.quantileZMax { return work.age * Self.beyondShare * state.random.uniform() }
        let below = 1 - z.normalSurvival
        let quantile = (below + (1 - below) * state.random.uniform()).clamped(to: Self.quantileRange)
        return max(0, (mean + deviation * quantile.normalQuantile).exponential - work.age)
    }
}

extension Double {
    /// The part after the decimal point of a positive number.
    var fraction: Double { self - rounded(.down) }
}
