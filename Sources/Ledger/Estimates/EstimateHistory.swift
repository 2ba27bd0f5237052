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
        var known = labels[label.key] ?? Label()
        let weight = known.runs == 0 ? 1 : Self.newerWeight
        known.runs += 1
        known.done += weight * (label.done - known.done)
        known.total += weight * (label.total - known.total)
        known.growthShare += weight * (label.growthShare - known.growthShare)
        known.longestQuiet = max(known.longestQuiet, label.longestQuiet)
        if label.executions > 0 {
            known.units = label.units
            known.executions += label.executions
            known.quantiles = RunSummary.midpoints(of: (known.quantiles + label.quantiles).sorted())
        }
        labels[label.key] = known
    }

    private mutating func add(_ task: RunSummary.TaskDuration) {
        guard tasks.count < RunSummary.tasksMax || tasks[task.task] != nil else { return }
        var known = tasks[task.task] ?? KnownTask(label: task.label)
        known.label = task.label
        let deviation = task.duration.logarithm - known.logarithm
        if known.runs > 0 {
            taskDeviations += deviation.squared * known.runs / (known.runs + 1)
            taskDeviationCount += 1
        }
        known.logarithm += max(1 / (known.runs + 1), 0.25) * deviation
        known.runs = min(known.runs + 1, 4)
        tasks[task.task] = known
    }

    private mutating func add(_ run: RunSummary.Errors) {
        // From the fourth job on, earlier ones fade.
        let decay = errors.runs >= 4 ? 0.8 : 1
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
        taskDeviationCount > 5 ? max(0.0025, taskDeviations / taskDeviationCount).squareRoot() : 0.3
    }

    /// The factors by which earlier intervals should have been wider: never below 1.
    ///
    /// The prior is one job's worth of doubt: two jobs with a factor of 1.
    var widening: (above: Double, below: Double) {
        func factor(_ sum: Double) -> Double { ((2 + sum) / (2 + errors.runs)).clamped(to: 1...4) }
        return errors.runs > 0 ? (factor(errors.above), factor(errors.below)) : (1, 1)
    }

    /// The factor by which earlier estimates at the same phase were too low.
    ///
    /// It is shrunk by its own uncertainty, and at most e^0.7.
    func correction(phase: Int) -> Double {
        let runs = errors.biasRuns[phase]
        guard runs > 0 else { return 1 }
        let mean = errors.bias[phase] / runs
        let spread = max(0, errors.biasSquares[phase] / runs - mean.squared)
        let variance = (runs > 1 ? spread * runs / (runs - 1) : 0) + 0.01
        let shrunk = mean * mean.squared / (mean.squared + 4 * variance / runs) * runs / (runs + 1)
        return shrunk.clamped(to: -0.7...0.7).exponential
    }
}
