/// The probability that the running executions of a job report nothing for a time.
///
/// It describes the work that is left as ``Estimator`` does.
struct AdvanceModel {
    private let works: [RunningWork]
    private let classes: [WorkClass]
    private let labels: [LabelWork]
    /// The deviation of the logarithm of the time between two reports.
    private let reportDeviation: Double
    private let now: Timestamp

    /// The maximum number of running executions that are examined.
    ///
    /// Each one only makes a pause less plausible, so leaving some out is no alarm.
    private static let worksMax = 64
    /// The weight of work of a kind not seen yet against known work.
    private static let unseenWeight = 0.3
    /// The share of executions that take very much longer than the others.
    ///
    /// Chosen separately from ``CompletionSimulation/outlierRate``.
    private static let outlierRate = 0.01
    /// The exponent with which their share decreases with the age.
    ///
    /// Chosen separately from that of ``CompletionSimulation``.
    private static let outlierTailExponent = 1.0
    /// The least deviation of the logarithm of the time between two reports.
    private static let reportDeviationMin = 0.5
    /// The least deviation of the logarithm of a duration.
    private static let deviationMin = 1e-3
    /// The least divisor of two probabilities.
    private static let probabilityMin = 1e-300

    init(_ estimator: Estimator, at now: Timestamp, startedAt: Timestamp) {
        self.now = now
        let (state, history) = (estimator.state, estimator.history)
        var labels = estimator.labelWork(elapsed: now.seconds(since: startedAt))
        let oldest = estimator.workers.first.map { now.seconds(since: $0.startedAt) } ?? 0
        let pool = DurationPool(labels, oldest: oldest)
        let speed = history.map { JobSpeed(state, labels, $0, startedTasks: []) } ?? .unknown
        let some = Array(estimator.workers.suffix(Self.worksMax))
        var builder = RunningWorkBuilder(some, labels, history, speed, at: now, startedAt: startedAt)
        var classes = WorkClassBuilder(labels, pool, speed, builder.typicalPart, sharing: estimator.sharing)
            .classes(of: &labels)
        works = builder.running(in: &classes, of: labels)
        self.classes = classes
        self.labels = labels
        reportDeviation = max(Self.reportDeviationMin, pool.withinLabels)
    }

    /// Whether anything is left to do.
    var isWorkLeft: Bool { labels.contains { $0.left > 0 || $0.total <= 0 } }

    /// The probability of no advance since a moment.
    ///
    /// - Parameters:
    ///   - label: The label that would advance; nil for any.
    ///   - enough: The probability below which the exact value does not matter.
    /// - Returns: nil if no running execution says anything about it.
    func probabilityOfNoAdvance(since last: Timestamp, on label: Name?? = nil, below enough: Double) -> Double? {
        let gap = now.seconds(since: last)
        var probability = 1.0
        var isInformed = false
        for work in works {
            guard let factor = factor(work, gap: gap, on: label) else { continue }
            isInformed = true
            probability *= factor
            if probability < enough { break }
        }
        return isInformed ? probability : nil
    }

    /// The probability that an execution did not advance in the gap.
    ///
    /// Given that it had not advanced before.
    private func factor(_ work: RunningWork, gap: Double, on label: Name??) -> Double? {
        switch work.kind {
        case .reporting(let reporting):
            if let label, work.label != label { return nil }
            let interval = reporting.pace * reporting.unitsPerReport
            guard interval > 0, reporting.left > 0 else { return nil }
            return ratio(
                LogNormal(mean: interval.naturalLogarithm, deviation: reportDeviation),
                to: reporting.gap, from: reporting.gap - gap)
        case .usualDuration, .silent:
            if let index = work.classIndex {
                if let label, work.label != label { return nil }
                return ratio(LogNormal(classes[index]), to: work.age, from: work.age - gap)
            }
            return mixedFactor(work, gap: gap, on: label)
        }
    }

    /// The factor of an execution that may work on any label.
    private func mixedFactor(_ work: RunningWork, gap: Double, on label: Name??) -> Double? {
        var before = 0.0
        var after = 0.0
        var lost = 0.0
        for index in classes.indices {
            let waiting = max(0, classes[index].left - classes[index].assigned) / classes[index].units
            let weight = classes[index].isSampled ? waiting : Self.unseenWeight * waiting
            guard weight > 0 else { continue }
            let durations = LogNormal(classes[index])
            let (then, still) = (weight * survival(work.age - gap, durations), weight * survival(work.age, durations))
            before += then
            after += still
            if let label, classes[index].label == label { lost += then - still }
        }
        guard before > 0 else { return nil }
        return label == nil ? after / before : 1 - lost / before
    }

    private struct LogNormal {
        let mean: Double
        let deviation: Double

        init(mean: Double, deviation: Double) {
            self.mean = mean
            self.deviation = deviation
        }

        init(_ work: WorkClass) {
            (mean, deviation) = work.normal
        }
    }

    private func ratio(_ durations: LogNormal, to age: Double, from earlier: Double) -> Double {
        survival(age, durations) / max(Self.probabilityMin, survival(earlier, durations))
    }

    /// The probability that a duration is longer than an age.
    private func survival(_ age: Double, _ durations: LogNormal) -> Double {
        guard age > LogDuration.secondsMin else { return 1 }
        let z = (age.naturalLogarithm - durations.mean) / max(Self.deviationMin, durations.deviation)
        let tail = z < 0 ? 1 : (-Self.outlierTailExponent * z * durations.deviation).exponential
        return (1 - Self.outlierRate) * z.normalSurvival + Self.outlierRate * tail
    }
}
