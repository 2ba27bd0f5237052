/// The durations and errors of a completed job, for later jobs of the same name.
///
/// It is made once, when the job has ended with the outcome `completed`.
public struct RunSummary: Hashable, Sendable {
    /// The seconds from the first execution to the end.
    public var seconds: Double
    /// The labels, ascending by key.
    var labels: [Label]
    /// The tasks that succeeded, in the order of their start, at most ``tasksMax``.
    var tasks: [TaskDuration]
    /// The longest time without an advance, in seconds.
    ///
    /// 0 in summaries of version 1.
    var longestGap = 0.0
    /// The errors of this job's own estimates; nil if they were made without history.
    var errors: Errors?

    /// The maximum number of tasks with durations of their own.
    ///
    /// Further tasks are known by their labels.
    public static let tasksMax = 3_000
    /// The maximum number of labels; those with the least work beyond it are dropped.
    static let labelsMax = 500
    /// The number of durations that represent those of a label.
    static let quantilesMax = 16

    /// The work on one label.
    struct Label: Hashable, Sendable {
        let key: NameKey
        /// The units declared.
        var total: Double
        /// The units done.
        var done: Double
        /// The share of the job's duration at which its total last grew.
        var growthShare: Double
        /// The number of executions.
        var executions: Double
        /// The mean units of an execution.
        var units: Double
        /// Midpoints of equal shares of the durations, ascending.
        var quantiles: [LogDuration]
        /// The longest time for which an execution sent no event, in seconds.
        ///
        /// 0 in summaries of version 1.
        var longestQuiet = 0.0
    }

    /// The duration of a task's execution that succeeded.
    struct TaskDuration: Hashable, Sendable {
        let task: UInt32
        /// The label that it reported last.
        let label: NameKey
        let duration: LogDuration
    }

    /// The errors of a job's estimates, from which later intervals are calibrated.
    public struct Errors: Hashable, Sendable {
        /// The mean of ln(true / estimated) in each phase; nil without an estimate.
        var bias: [Double?]
        /// The 90 % quantile of the distances of the truth above the median.
        ///
        /// In units of the interval's upper part; 1 is calibrated.
        var above: Double
        /// The same below the median.
        var below: Double

        /// The number of phases of a job, by the share now / (now + remaining).
        static let phaseCount = 5

        /// The phase of a moment.
        static func phase(elapsed: Double, remaining: Double) -> Int {
            let phase = Double(phaseCount) * elapsed / max(.divisorMin, elapsed + remaining)
            return Int(phase.clamped(to: 0...Double(phaseCount - 1)))
        }
    }

    /// Returns midpoints of at most ``quantilesMax`` equal shares of ascending values.
    static func midpoints<Value>(of ascending: [Value]) -> [Value] {
        let count = min(ascending.count, quantilesMax)
        return (0..<count).map { ascending[Int((Double($0) + 0.5) * Double(ascending.count) / Double(count))] }
    }

    /// Summarises a job that has ended.
    ///
    /// - Parameters:
    ///   - fold: The whole job, folded up to its end. Of its parts, only the indicators with a pattern are necessary,
    ///     and the tasks to describe with their last executions.
    ///   - state: Its state at the end.
    ///   - errors: The errors of its estimates; nil without history, or if they were not compared.
    /// - Returns: nil if nothing was executed, or if the job has not ended.
    public init?(of fold: Fold, _ state: EstimateState, errors: Errors? = nil) {
        guard let start = fold.progress.startedAt, let end = fold.progress.finishedAt else { return nil }
        seconds = max(LogDuration.secondsMin, end.seconds(since: start))
        let length = seconds
        let worked = fold.indicatorStates.compactMap { indicator in
            state.patterns[indicator.id].map { (indicator: indicator, pattern: $0) }
        }
        labels =
            worked.sorted {
                ($0.pattern.microseconds, $1.pattern.indicator) > ($1.pattern.microseconds, $0.pattern.indicator)
            }
            .prefix(Self.labelsMax)
            .map { Self.label($0.indicator, $0.pattern, start: start, seconds: length) }
            .sorted { $0.key.hash < $1.key.hash }
        tasks = Self.durations(in: fold)
        longestGap = Double(secondsOf: state.gaps.longest)
        self.errors = errors
    }

    private static func label(
        _ indicator: IndicatorState, _ pattern: LabelPattern, start: Timestamp, seconds: Double
    ) -> Label {
        let growth = pattern.declarations.last?.at.seconds(since: start) ?? 0
        return Label(
            key: pattern.key, total: Double(indicator.counted.total), done: Double(indicator.counted.done),
            growthShare: growth / seconds, executions: Double(pattern.samples), units: pattern.meanUnits,
            quantiles: midpoints(of: pattern.recent.sorted()), longestQuiet: Double(secondsOf: pattern.longestQuiet))
    }

    private static func durations(in fold: Fold) -> [TaskDuration] {
        var found: [TaskDuration] = []
        for task in fold.taskStates {
            guard found.count < tasksMax else { break }
            guard task.state == .succeeded, let execution = fold.execution(task.last),
                let entry = execution.contributions.entries.last(where: { $0.units.done > 0 }),
                let label = fold.indicatorIndices[entry.indicator].map({ fold.indicators[$0].label })
            else { continue }
            found.append(
                TaskDuration(
                    task: NameKey(task.name).half, label: NameKey(label),
                    duration: LogDuration(seconds: execution.lastAt.seconds(since: execution.startedAt))))
        }
        return found
    }
}
