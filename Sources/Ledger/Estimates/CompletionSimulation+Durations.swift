extension CompletionSimulation {
    /// Draws the seconds of an execution that has not begun.
    mutating func freshSeconds(of index: Int) -> Double {
        let work = durations[index]
        let u = state.random.uniform()
        // The tenth with the longest durations comes from the distribution, which can exceed what was observed.
        if work.isEmpirical, u >= 0.9 { return upperSeconds(u, work, shift: state.means[index]) }
        let seconds = drawableSeconds[work.secondsRange.lowerBound + Int(u * Double(work.secondsRange.count))]
        return seconds * state.factors[index]
    }

    /// Draws the seconds of a task with a usual duration.
    mutating func knownSeconds(_ usual: Double, in index: Int, speedShift: Double) -> Double {
        let mean = knownMean(usual, in: index, speedShift: speedShift)
        return (mean + 1.1 * conditions.taskSpread * state.random.normal()).exponential
    }

    /// The expected logarithm of a known task.
    ///
    /// It is its usual one, shrunk to that of its class by its spread from job to job.
    private func knownMean(_ usual: Double, in index: Int, speedShift: Double) -> Double {
        let work = durations[index]
        return work.mean + work.taskWeight * (usual + conditions.speed.logarithm - work.mean) + speedShift
    }

    private func upperSeconds(_ u: Double, _ work: ClassDurations, shift: Double) -> Double {
        (work.median + shift + work.upperDeviation * min(u, 1 - 1e-4).normalQuantile).exponential
    }

    /// Draws the remaining seconds of a running execution.
    mutating func residual(of index: Int, speedShift: Double) -> Double {
        let work = inputs[index]
        switch work.kind {
        case .reporting(let rest): return reportedResidual(rest)
        case .known(let usual):
            guard let classIndex = work.classIndex else { return silentResidual(work, nil) }
            return lognormalResidual(
                mean: knownMean(usual, in: classIndex, speedShift: speedShift), deviation: 1.12 * conditions.taskSpread,
                work
            )
        case .silent: return silentResidual(work, state.chosenClasses[index])
        }
    }

    /// Draws the rest of an execution that reports: its units left at its pace.
    private mutating func reportedResidual(_ rest: ReportedRest) -> Double {
        var seconds = rest.seconds * (state.random.normal() * rest.deviation - rest.shift).exponential
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
                mean: conditions.pool.mean, deviation: max(conditions.pool.withinLabels, 0.5), work)
        }
        let known = durations[index]
        guard known.isSampled else {
            return lognormalResidual(mean: state.means[index], deviation: known.deviation, work)
        }
        guard known.isEmpirical else {
            return lognormalResidual(mean: known.mean + state.means[index], deviation: known.deviation, work)
        }
        return empiricalResidual(work, known, index)
    }

    /// Draws the rest from the samples that lasted longer, if there are enough of them.
    private mutating func empiricalResidual(_ work: RunningInput, _ known: ClassDurations, _ index: Int) -> Double {
        let (shift, factor, count) = (state.means[index], state.factors[index], known.secondsRange.count)
        let first = drawableSeconds[known.secondsRange].partitioningIndex { $0 > work.age / factor }
        let longer = known.secondsRange.upperBound - first
        let z = (work.logarithmOfAge - known.median - shift) / known.upperDeviation
        guard longer >= max(3, count / 5), state.random.uniform() >= outlierProbability(z, known.upperDeviation) else {
            return lognormalResidual(mean: known.median + shift, deviation: known.upperDeviation, work)
        }
        let u = state.random.uniform()
        let rank = 1 - (1 - u) * Double(longer) / Double(count)
        let seconds =
            rank < 0.9
            ? drawableSeconds[first + Int(u * Double(longer))] * factor : upperSeconds(rank, known, shift: shift)
        return max(0, seconds - work.age)
    }

    /// The probability that an execution of this age is an outlier.
    private func outlierProbability(_ z: Double, _ deviation: Double) -> Double {
        let outlier = Self.outlierRate * outlierTail(z, deviation)
        return outlier / (outlier + (1 - Self.outlierRate) * (z < 6 ? z.normalSurvival : 0) + 1e-300)
    }

    /// Draws the rest of a lognormal duration that exceeds the age, or of an outlier.
    private mutating func lognormalResidual(mean: Double, deviation: Double, _ work: RunningInput) -> Double {
        let z = (work.logarithmOfAge - mean) / deviation
        if state.random.uniform() < outlierProbability(z, deviation) { return pareto(work.age) }
        // Beyond five deviations, the quantiles are too coarse.
        if z > 5 { return work.age * 0.05 * state.random.uniform() }
        let below = 1 - z.normalSurvival
        let quantile = (below + (1 - below) * state.random.uniform()).clamped(to: 1e-6...(1 - 1e-7))
        return max(0, (mean + deviation * quantile.normalQuantile).exponential - work.age)
    }
}

extension Double {
    /// The part after the decimal point of a positive number.
    var fraction: Double { self - rounded(.down) }
}
