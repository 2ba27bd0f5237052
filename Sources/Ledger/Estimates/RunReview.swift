/// Folds a completed job again, scores its estimates, and summarises it.
///
/// The estimates are made as they would have been at equally spaced moments of the job, each from the events up to it.
public struct RunReview {
    private let start: Timestamp
    private let end: Timestamp
    private let history: EstimateHistory?
    private var moments: ArraySlice<Timestamp>
    private let middle: Timestamp
    private var state = EstimateState()
    /// The predictions, with the seconds that were really left.
    private var predictions: [(at: Timestamp, left: Double, prediction: Estimator.Prediction)] = []

    /// The minimum and maximum number of moments.
    ///
    /// Jobs with few events have fewer, which would otherwise cost more than their projection.
    private static let momentCounts = 5...15
    private static let eventsPerMoment: Int64 = 20
    /// The part of the job in which the moments are: from 2 to 98 %.
    private static let reviewed = (start: 0.02, length: 0.96)
    /// The quantile of the errors that a summary keeps, and the largest one.
    private static let (errorQuantile, errorMax) = (0.9, 6.0)

    /// - Parameters:
    ///   - start: The time of the first execution.
    ///   - end: The time of `job_finished`.
    ///   - events: The number of events.
    ///   - history: The merged summaries of the jobs that ended before this one.
    public init(from start: Timestamp, to end: Timestamp, events: Int64, history: EstimateHistory?) {
        self.start = start
        self.end = end
        self.history = history
        let count = min(
            Self.momentCounts.upperBound, max(Self.momentCounts.lowerBound, Int(events / Self.eventsPerMoment)))
        let length = Double(end.microseconds - start.microseconds)
        let all = (0..<count).map { index in
            let share = Self.reviewed.start + Self.reviewed.length * Double(index) / Double(count - 1)
            return Timestamp(microseconds: start.microseconds + Int64(length * share))
        }
        moments = all[...]
        middle = all[count / 2]
    }

    /// Folds the next event, after the predictions for the moments before it.
    ///
    /// - Throws: What ``Fold/apply(_:)`` throws.
    public mutating func apply(_ event: Event, to fold: inout Fold) throws(FoldStateError) {
        while let moment = moments.first, moment < event.recordedAt {
            moments.removeFirst()
            predict(at: moment, fold)
        }
        try state.apply(event, to: &fold)
    }

    private mutating func predict(at moment: Timestamp, _ fold: Fold) {
        let estimator = Estimator(
            state, fold.snapshot(), history: history, startedTasks: history == nil ? [] : fold.startedTasks)
        let prediction = estimator.prediction(at: moment)
        guard prediction.estimate.remaining != nil else { return }
        predictions.append((moment, max(LogDuration.secondsMin, end.seconds(since: moment)), prediction))
    }

    /// The summary, after the last event.
    ///
    /// - Returns: nil if nothing was executed.
    public func summary(of fold: Fold) -> RunSummary? { RunSummary(of: fold, state, errors: errors) }

    /// The comparison; nil if there was no prediction.
    public var score: EstimateScore? {
        let compared = predictions.compactMap { entry in
            entry.prediction.estimate.remaining.map { (at: entry.at, left: entry.left, remaining: $0) }
        }
        guard !compared.isEmpty else { return nil }
        let errors = compared.map { ($0.remaining.p50 / $0.left).naturalLogarithm.magnitude }.sorted()
        let count = Double(compared.count)
        let half = compared.min {
            ($0.at.microseconds - middle.microseconds).magnitude < ($1.at.microseconds - middle.microseconds).magnitude
        }
        return EstimateScore(
            estimates: Int64(compared.count), logarithmicError: errors[errors.count / 2],
            coverageP90: Double(compared.count { $0.left <= $0.remaining.p90 }) / count,
            coverageP10: Double(compared.count { $0.left >= $0.remaining.p10 }) / count,
            endedInside: half.map { $0.remaining.p10 <= $0.left && $0.left <= $0.remaining.p90 } ?? false)
    }

    /// The errors before calibration, for later jobs; nil without history.
    private var errors: RunSummary.Errors? {
        guard history != nil else { return nil }
        var above: [Double] = []
        var below: [Double] = []
        var bias = [(sum: Double, count: Double)](repeating: (0, 0), count: RunSummary.Errors.phaseCount)
        for entry in predictions {
            guard let interval = entry.prediction.uncalibrated else { continue }
            let error = (entry.left / interval.median).naturalLogarithm
            above.append(max(0, error) / interval.above)
            below.append(max(0, -error) / interval.below)
            let phase = RunSummary.Errors.phase(elapsed: entry.at.seconds(since: start), remaining: interval.median)
            bias[phase].sum += error
            bias[phase].count += 1
        }
        guard !above.isEmpty else { return nil }
        func quantile(_ values: [Double]) -> Double {
            min(Self.errorMax, values.sorted()[Int(Self.errorQuantile * Double(values.count - 1))])
        }
        return RunSummary.Errors(
            bias: bias.map { $0.count > 0 ? $0.sum / $0.count : nil }, above: quantile(above), below: quantile(below))
    }
}

extension Fold {
    /// The tasks that have begun, in the order in which they began.
    public var startedTasks: [StartedTask] {
        tasks.map { StartedTask($0.name, hasSucceeded: $0.state == .succeeded) }
    }

    /// The task of an execution.
    ///
    /// The fold must contain the whole job. Costs a pass over the tasks.
    public func taskName(of id: ExecutionID) -> Name? {
        execution(id).flatMap { execution in tasks.first { $0.id == execution.task }?.name }
    }
}
