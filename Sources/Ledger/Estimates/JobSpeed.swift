/// The speed of a job against earlier ones of the same name.
struct JobSpeed {
    /// The logarithm of this job's durations over those of earlier jobs.
    let logarithm: Double
    /// The variance of the logarithm.
    let variance: Double
    /// Whether the job has the tasks of earlier jobs, with usual durations.
    let tasksAreKnown: Bool

    /// The standard deviation from job to job before anything is measured.
    ///
    /// Half of it and double gave the same measured error.
    static let priorDeviation = 0.35
    /// The number of known tasks from which they show the speed.
    ///
    /// They must also be a part of all started tasks: a half.
    private static let known = (tasksMin: 3, startedPerKnownMax: 2)
    /// The factor of the variance of a task's duration from job to job.
    private static let taskVarianceFactor = 1.3
    /// The least variance of a label's durations, and the variance that is added to it.
    private static let labelVariance = (min: 0.01, added: 0.02)
    /// The variance that is added to that of the difference of two means.
    private static let differenceVarianceAdded = 0.02
    /// The largest difference between two counts of the successes, as a share.
    private static let countDifferenceMax = 0.05
    /// The speed without history.
    static let unknown = JobSpeed(logarithm: 0, variance: 0, tasksAreKnown: false)

    private init(logarithm: Double, variance: Double, tasksAreKnown: Bool) {
        self.logarithm = logarithm
        self.variance = variance
        self.tasksAreKnown = tasksAreKnown
    }

    /// - Parameter startedTasks: The tasks that have begun.
    init(_ state: EstimateState, _ labels: [LabelWork], _ history: EstimateHistory, startedTasks: [StartedTask]) {
        let prior = 1 / Self.priorDeviation.squared
        var (sum, weight) = (0.0, prior)
        let (found, finished) = Self.finished(state, history, startedTasks)
        tasksAreKnown = found >= Self.known.tasksMin && Self.known.startedPerKnownMax * found >= startedTasks.count
        if tasksAreKnown {
            if let finished {
                let variance = Self.taskVarianceFactor * history.taskSpread.squared
                sum += finished.difference * finished.count / variance
                weight += finished.count / variance
            }
        } else {
            for label in labels {
                guard let pattern = label.pattern, pattern.samples > 0, let earlier = label.inHistory,
                    !earlier.quantiles.isEmpty
                else { continue }
                let count = Double(earlier.quantiles.count)
                let mean = earlier.quantiles.reduce(0) { $0 + $1.logarithm } / count
                let squares = earlier.quantiles.reduce(0) { $0 + $1.logarithm.squared } / count
                let variance = max(Self.labelVariance.min, squares - mean.squared) + Self.labelVariance.added
                let precision =
                    1
                    / (variance / Double(pattern.samples) + variance / min(count, earlier.executions)
                        + Self.differenceVarianceAdded)
                sum += precision * (pattern.meanLogarithm - mean)
                weight += precision
            }
        }
        logarithm = sum / weight
        variance = 1 / weight
    }

    /// The mean difference of the tasks that succeeded from their usual durations.
    ///
    /// The state has the sum of their durations, and not each one. The sum is comparable if nearly all of them are
    /// known, and each succeeded once.
    private static func finished(
        _ state: EstimateState, _ history: EstimateHistory, _ startedTasks: [StartedTask]
    ) -> (found: Int, finished: (difference: Double, count: Double)?) {
        guard !history.tasks.isEmpty else { return (0, nil) }
        var (found, succeeded, usual) = (0, 0.0, 0.0)
        for task in startedTasks {
            guard let known = history.tasks[task.key] else { continue }
            found += 1
            guard task.hasSucceeded else { continue }
            succeeded += 1
            usual += known.logarithm
        }
        let counted = Double(state.succeeded)
        guard succeeded > 0, (counted - succeeded).magnitude <= Self.countDifferenceMax * succeeded else {
            return (found, nil)
        }
        return (found, (state.sumOfLogarithms / counted - usual / succeeded, succeeded))
    }
}
