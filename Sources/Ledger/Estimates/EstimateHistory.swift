/// The merged summaries of earlier jobs of the same name.
public struct EstimateHistory: Sendable {
    /// The number of merged summaries.
    public private(set) var runs = 0
    /// The labels by key.
    private(set) var labels: [NameKey: Label] = [:]
    /// The tasks by the half of their key, at most ``RunSummary/tasksMax``.
    private(set) var tasks: [UInt32: KnownTask] = [:]
    /// The duration of the latest job, in seconds.
    private(set) var lastSeconds = 0.0
    /// The longest time without an advance in any of the jobs, in seconds.
    ///
    /// 0 if it is unknown.
    private(set) var longestGap = 0.0
    private var taskDeviations = 0.0
    private var taskDeviationCount = 0.0
    private var errors = ErrorSums()

    /// The maximum number of merged jobs, the newest ones.
    ///
    /// Older jobs say less about the next one than they cost.
    public static let runsMax = 5
    /// The weight of a newer job's totals against those of all earlier ones.
    private static let newerWeight = 0.4
    /// The maximum number of jobs that the mean of a task's durations counts.
    ///
    /// A newer job therefore weighs at least a quarter.
    private static let taskRunsMax = 4.0
    /// The ``taskSpread`` before it is known.
    static let taskSpreadPrior = 0.3
    /// The number of differences between jobs from which their spread is known.
    private static let deviationsMin = 5.0
    /// The decay of earlier errors with each job, from a number of jobs on.
    private static let errorDecay = (factor: 0.8, runsMin: 4.0)
    /// The number of jobs with a calibrated interval that ``widening`` begins with.
    private static let wideningPrior = 2.0
    private static let wideningRange = 1.0...4.0
    /// The variance that is added to that of the biases of earlier jobs.
    private static let biasVarianceAdded = 0.01
    /// The weight of the variance of the bias against its square.
    private static let doubtWeight = 4.0
    /// The largest logarithm of a ``correction(phase:)``.
    private static let correctionMax = 0.7

    /// The work on one label.
    struct Label: Sendable {
        var total = 0.0
        var done = 0.0
        var growthShare = 0.0
        var executions = 0.0
        var units = 1.0
        var quantiles: [LogDuration] = []
        /// The longest time for which an execution sent no event, in seconds.
        var longestQuiet = 0.0
        fileprivate var runs = 0
    }

    /// The usual duration of a task.
    struct KnownTask: Sendable {
        var label: NameKey
        /// The mean of the logarithms, in which newer jobs weigh at least a quarter.
        var logarithm = 0.0
        fileprivate var runs = 0.0
    }

    /// The decayed sums of the errors of earlier jobs.
    private struct ErrorSums {
        var above = 0.0
        var below = 0.0
        var runs = 0.0
        var bias = [Double](repeating: 0, count: RunSummary.Errors.phaseCount)
        var biasSquares = [Double](repeating: 0, count: RunSummary.Errors.phaseCount)
        var biasRuns = [Double](repeating: 0, count: RunSummary.Errors.phaseCount)
    }

    /// Merges summaries, oldest first.
    public init(_ summaries: [RunSummary]) {
        for summary in summaries { add(summary) }
    }

    private mutating func add(_ summary: RunSummary) {
        runs += 1
        lastSeconds = summary.seconds
        longestGap = max(longestGap, summary.longestGap)
        for label in summary.labels { add(label) }
        for task in summary.tasks { add(task) }
        if let errors = summary.errors { add(errors) }
    }

    private mutating func add(_ label: RunSummary.Label) {
        var merged = labels[label.key] ?? Label()
        let weight = merged.runs == 0 ? 1 : Self.newerWeight
        merged.runs += 1
        merged.done += weight * (label.done - merged.done)
        merged.total += weight * (label.total - merged.total)
        merged.growthShare += weight * (label.growthShare - merged.growthShare)
        merged.longestQuiet = max(merged.longestQuiet, label.longestQuiet)
        if label.executions > 0 {
            merged.units = label.units
            merged.executions += label.executions
            merged.quantiles = RunSummary.midpoints(of: (merged.quantiles + label.quantiles).sorted())
        }
        labels[label.key] = merged
    }

    private mutating func add(_ task: RunSummary.TaskDuration) {
        guard tasks.count < RunSummary.tasksMax || tasks[task.task] != nil else { return }
        var merged = tasks[task.task] ?? KnownTask(label: task.label)
        merged.label = task.label
        let deviation = task.duration.logarithm - merged.logarithm
        if merged.runs > 0 {
            taskDeviations += deviation.squared * merged.runs / (merged.runs + 1)
            taskDeviationCount += 1
        }
        merged.logarithm += max(1 / (merged.runs + 1), 1 / Self.taskRunsMax) * deviation
        merged.runs = min(merged.runs + 1, Self.taskRunsMax)
        tasks[task.task] = merged
    }

    private mutating func add(_ run: RunSummary.Errors) {
        let decay = errors.runs >= Self.errorDecay.runsMin ? Self.errorDecay.factor : 1
        errors.above = errors.above * decay + run.above
        errors.below = errors.below * decay + run.below
        errors.runs = errors.runs * decay + 1
        for (phase, bias) in run.bias.enumerated() {
            guard let bias else { continue }
            errors.bias[phase] = errors.bias[phase] * decay + bias
            errors.biasSquares[phase] = errors.biasSquares[phase] * decay + bias.squared
            errors.biasRuns[phase] = errors.biasRuns[phase] * decay + 1
        }
    }

    /// Whether it has durations of single tasks.
    public var knowsTasks: Bool { !tasks.isEmpty }

    /// The standard deviation of the logarithm of one task's duration from job to job.
    var taskSpread: Double {
        taskDeviationCount > Self.deviationsMin
            ? max(LogDuration.varianceMin, taskDeviations / taskDeviationCount).squareRoot() : Self.taskSpreadPrior
    }

    /// The factors by which earlier intervals should have been wider: never below 1.
    ///
    /// The mean factor of the earlier jobs and of two with a factor of 1.
    var widening: (above: Double, below: Double) {
        func factor(_ sum: Double) -> Double {
            ((Self.wideningPrior + sum) / (Self.wideningPrior + errors.runs)).clamped(to: Self.wideningRange)
        }
        return errors.runs > 0 ? (factor(errors.above), factor(errors.below)) : (1, 1)
    }

    /// The factor by which earlier estimates at the same phase were too low.
    ///
    /// It is shrunk by its own uncertainty.
    func correction(phase: Int) -> Double {
        let runs = errors.biasRuns[phase]
        guard runs > 0 else { return 1 }
        let mean = errors.bias[phase] / runs
        let between = max(0, errors.biasSquares[phase] / runs - mean.squared)
        let variance = (runs > 1 ? between * runs / (runs - 1) : 0) + Self.biasVarianceAdded
        let shrunk = mean * mean.squared / (mean.squared + Self.doubtWeight * variance / runs) * runs / (runs + 1)
        return shrunk.clamped(to: -Self.correctionMax...Self.correctionMax).exponential
    }
}
