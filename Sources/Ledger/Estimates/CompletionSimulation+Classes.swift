extension CompletionSimulation {
    /// The least plausibility of a class with work.
    private static let plausibilityMin = 1e-12
    /// The deviations from the mean beyond which the normal survival counts as 0.
    private static let survivalZMax = 6.0
    /// The exponent with which the plausibility of an outlier decreases with its age.
    ///
    /// Chosen separately from ``outlierExponent``, and from that of ``AdvanceModel``.
    private static let outlierTailExponent = 0.7
    /// The step from the position of a class to that of the next one.
    ///
    /// The golden ratio spreads the positions of classes evenly.
    private static let classStep = 0.6180339887
    /// The range of the positions of classes: the quantiles of 0 and 1 are infinite.
    private static let classRange = 1e-4...(1 - 1e-4)
    /// The number of sampled labels from which another label is like one of them.
    private static let labelsEnough = 5
    /// The standard deviation of such a label's mean.
    ///
    /// It is the deviation from the mean of the label that it is like.
    private static let freeMeanDeviation = 0.8
    /// The probability that a class without samples has begun.
    ///
    /// It holds while a class with samples has work. Values from 0.15 to 1 gave the same measured error, but 1 is less
    /// stable.
    private static let begunProbability = 0.3
    /// The waiting executions below which a class has none.
    private static let waitingMin = 1e-9
    /// The weight of a class that has not begun.
    private static let notBegunWeight = 1e-6
    /// The deviations beyond which a mean is redrawn from the age alone.
    private static let redrawZMax = 1.0
    /// The part of the positions that such a mean uses.
    ///
    /// That of the last position would be infinite.
    private static let redrawShare = 0.999

    /// The plausibility of each class for an execution; none if its class is known.
    ///
    /// It is the waiting work times the probability that an execution lasts at least as long.
    func plausibilities(of execution: RunningInput) -> [Double] {
        guard execution.isUnknown else { return [] }
        return classes.indices.map { candidate in
            guard classes[candidate].waiting > 0 else { return 0 }
            let (mean, deviation) = classes[candidate].normal
            let z = (execution.logarithmOfAge - mean) / deviation
            return classes[candidate].waiting * survival(z, deviation) + Self.plausibilityMin
        }
    }

    /// The share of executions beyond a number of standard deviations.
    ///
    /// Outliers are included.
    private func survival(_ z: Double, _ deviation: Double) -> Double {
        (1 - Self.outlierRate) * normalSurvival(z) + Self.outlierRate * outlierTail(z, deviation)
    }

    /// The share of a normal distribution beyond a number of standard deviations.
    func normalSurvival(_ z: Double) -> Double { z < Self.survivalZMax ? z.normalSurvival : 0 }

    /// The share of outliers beyond a number of standard deviations.
    func outlierTail(_ z: Double, _ deviation: Double) -> Double {
        z < 0 ? 1 : (-Self.outlierTailExponent * z * deviation).exponential
    }

    /// Draws the mean duration of each class, and whether it has begun.
    ///
    /// - Parameter position: The position of the draw among all, from 0 to 1.
    mutating func drawClassMeans(_ position: Double) {
        state.logFactors.removeAll(keepingCapacity: true)
        state.waiting.removeAll(keepingCapacity: true)
        state.hasBegun.removeAll(keepingCapacity: true)
        let labelMeans = conditions.pool.means
        var sampledWaiting = 0.0
        for index in durations.indices {
            let u = (position + Double(index) * Self.classStep).fraction
            let z = u.clamped(to: Self.classRange).normalQuantile
            state.waiting.append(waitingAtFirst[index])
            state.hasBegun.append(true)
            if durations[index].isSampled {
                state.logFactors.append(z * durations[index].meanDeviation)
                sampledWaiting += state.waiting[index]
            } else if durations[index].isFree, labelMeans.count >= Self.labelsEnough {
                let like = labelMeans[min(labelMeans.count - 1, Int(u * Double(labelMeans.count)))]
                state.logFactors.append(like + Self.freeMeanDeviation * state.random.normal())
            } else {
                state.logFactors.append(durations[index].mean + z * durations[index].meanDeviation)
            }
        }
        guard sampledWaiting >= 1 else { return }
        for index in durations.indices where !durations[index].isSampled {
            state.hasBegun[index] = state.random.uniform() < Self.begunProbability
        }
    }

    /// Chooses a class for each execution without one, from the waiting executions.
    mutating func chooseClasses() {
        state.oldest.removeAll(keepingCapacity: true)
        state.availabilities.removeAll(keepingCapacity: true)
        for index in durations.indices {
            state.oldest.append(0)
            state.availabilities.append(availability(of: index))
        }
        state.chosenClasses.removeAll(keepingCapacity: true)
        var first = 0
        for execution in inputs {
            guard execution.isUnknown else {
                state.chosenClasses.append(execution.classIndex)
                continue
            }
            let chosen = chooseClass(first)
            first += durations.count
            if let chosen {
                state.waiting[chosen] = max(0, state.waiting[chosen] - 1)
                state.availabilities[chosen] = availability(of: chosen)
                if !durations[chosen].isSampled { state.oldest[chosen] = max(state.oldest[chosen], execution.age) }
            }
            state.chosenClasses.append(chosen)
        }
        for index in durations.indices where state.oldest[index] > 0 && durations[index].isFree {
            redrawMean(of: index, longerThan: state.oldest[index])
        }
    }

    /// Chooses a class by its weight.
    ///
    /// - Parameter first: The index of the plausibility of the first class.
    private mutating func chooseClass(_ first: Int) -> Int? {
        var total = 0.0
        for index in state.weights.indices {
            state.weights[index] = plausibilities[first + index] * state.availabilities[index]
            total += state.weights[index]
        }
        guard total > 0 else { return nil }
        var rest = state.random.uniform() * total
        var chosen: Int?
        for (index, weight) in state.weights.enumerated() where weight > 0 {
            chosen = index
            rest -= weight
            if rest <= 0 { break }
        }
        return chosen
    }

    private func availability(of index: Int) -> Double {
        guard state.waiting[index] > Self.waitingMin else { return 0 }
        return min(1, state.waiting[index]) * (state.hasBegun[index] ? 1 : Self.notBegunWeight)
    }

    /// Draws the mean of a class again, given that its executions last longer.
    private mutating func redrawMean(of index: Int, longerThan age: Double) {
        let work = durations[index]
        let deviation = (work.meanDeviation.squared + work.deviation.squared).squareRoot()
        let logarithm = age.naturalLogarithm
        let z = (logarithm - work.mean) / deviation
        let u = state.random.uniform()
        if z < Self.redrawZMax {
            let below = 1 - z.normalSurvival
            state.logFactors[index] =
                work.mean + deviation * (below + (1 - below) * u).clamped(to: Self.classRange).normalQuantile
        } else {
            // Far beyond the expected mean, the age itself is the best guess: as long again as it has lasted.
            state.logFactors[index] = logarithm - (1 - u * Self.redrawShare).naturalLogarithm
        }
    }
}
