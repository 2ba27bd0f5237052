/// Divides the work that is left into classes of executions of the same kind.
struct WorkClassBuilder {
    /// The maximum number of classes.
    ///
    /// Beyond it, those with the fewest executions become one.
    static let classesMax = 64
    /// The standard deviation of the mean of that one.
    private static let restMeanDeviation = 0.5
    /// The standard deviation of the mean of a label without any success.
    ///
    /// Executions that failed have shown the duration of a unit.
    private static let retryMeanDeviation = 0.35

    private let pool: DurationPool
    private let speed: JobSpeed
    /// The work of an execution on a label, before the first execution has ended.
    private let typical: TypicalPart?
    /// The number of executions that share the rest of a label.
    private let sharing: Double
    private var stems: [NameKey: Group] = [:]
    private var segments: [NameKey: Group] = [:]

    /// The means of the labels of one stem.
    private struct Group {
        /// The standard deviation of the means before it is known, as so many labels.
        private static let prior = (labels: 2.0, deviation: 0.5)

        var count = 0.0
        var sum = 0.0
        var squares = 0.0

        mutating func add(_ value: Double) {
            count += 1
            sum += value
            squares += value.squared
        }

        /// The guess for another label of the stem.
        var guess: WorkClass.Durations {
            let mean = sum / count
            let deviation =
                ((max(0, squares - count * mean.squared) + Self.prior.labels * Self.prior.deviation.squared)
                / (count - 1 + Self.prior.labels)).squareRoot()
            return .guessed(
                mean: mean, meanDeviation: deviation / count.squareRoot(), deviation: deviation, isFree: false)
        }
    }

    init(_ labels: [LabelWork], _ pool: DurationPool, _ speed: JobSpeed, _ typical: TypicalPart?, sharing: Double) {
        self.pool = pool
        self.speed = speed
        self.typical = typical
        self.sharing = sharing
        for label in labels {
            guard let pattern = label.pattern, pattern.samples > 0 else { continue }
            stems[label.stems.whole, default: Group()].add(pattern.meanLogarithm)
            segments[label.stems.segment, default: Group()].add(pattern.meanLogarithm)
        }
    }

    /// Returns the classes, and assigns each label with work left to one.
    func classes(of labels: inout [LabelWork]) -> [WorkClass] {
        var classes: [WorkClass] = []
        var classOfStem: [NameKey: Int] = [:]
        for index in labels.indices where labels[index].left > 0 {
            let label = labels[index]
            if label.hasSamples {
                classes.append(
                    WorkClass(
                        label: label.label, left: label.left, units: label.meanUnits ?? label.inHistory?.units ?? 1,
                        durations: .sampled(SampledDurations(label, pool, speed))))
            } else if let existing = classOfStem[label.stems.whole] {
                classes[existing].left += label.left
                labels[index].classIndex = existing
                continue
            } else {
                classOfStem[label.stems.whole] = classes.count
                classes.append(guess(for: label))
            }
            labels[index].classIndex = classes.count - 1
        }
        return classes.count > Self.classesMax ? merged(classes, &labels) : classes
    }

    /// The class of a label without samples.
    private func guess(for label: LabelWork) -> WorkClass {
        var units = max(1, min(pool.units, label.left))
        var mean = pool.mean
        if typical == nil, let secondsPerUnit = label.pattern?.unsuccessfulSecondsPerUnit {
            // Executions that failed or were superseded have shown how long a unit takes.
            units = max(min(1, label.left), label.left / sharing)
            mean = max(units * secondsPerUnit, LogDuration.secondsMin).naturalLogarithm
            return WorkClass(
                label: label.label, left: label.left, units: units,
                durations: .guessed(
                    mean: mean, meanDeviation: Self.retryMeanDeviation, deviation: pool.withinLabels, isFree: false))
        }
        if let typical {
            // The executions that run will share the label. It takes as long as others, or its units do.
            units = max(min(1, label.left), label.left / typical.executions)
            mean = max(min(typical.seconds, units * typical.secondsPerUnit), LogDuration.secondsMin).naturalLogarithm
        }
        let durations =
            (stems[label.stems.whole] ?? segments[label.stems.segment])?.guess
            ?? .guessed(mean: mean, meanDeviation: pool.betweenLabels, deviation: pool.withinLabels, isFree: true)
        return WorkClass(label: label.label, left: label.left, units: units, durations: durations)
    }

    /// Merges the classes with the fewest executions into one.
    private func merged(_ classes: [WorkClass], _ labels: inout [LabelWork]) -> [WorkClass] {
        let order = classes.indices.sorted { (classes[$0].executions, $1) > (classes[$1].executions, $0) }
        var indices = [Int](repeating: Self.classesMax - 1, count: classes.count)
        var result: [WorkClass] = []
        var rest = WorkClass(
            label: nil, left: 0, units: 1,
            durations: .guessed(
                mean: pool.mean, meanDeviation: Self.restMeanDeviation, deviation: pool.betweenLabels, isFree: false))
        for (rank, index) in order.enumerated() {
            if rank < Self.classesMax - 1 {
                indices[index] = rank
                result.append(classes[index])
            } else {
                rest.left += classes[index].executions
            }
        }
        for label in labels.indices { labels[label].classIndex = labels[label].classIndex.map { indices[$0] } }
        return result + [rest]
    }
}
