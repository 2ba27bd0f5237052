/// Computes the estimate of a job at a moment.
///
/// It is a pure function of the job's events up to the moment, the moment, and the history of its name. It simulates
/// the rest of the job: the running executions and those that are left, with durations like those of the same label in
/// this job and in earlier ones, on as many workers as there are. Durations and units may have any scale: if all
/// durations are a thousand times as long, so are the estimates. The constants were chosen on ten kinds of synthetic
/// jobs and on traces of production workflows, each stated where it is used.
///
/// An estimate costs about half a millisecond, at most two, whatever the size of the job.
public struct Estimator: Sendable {
    let state: EstimateState
    /// The patterns of the state, in order.
    private let patterns: [LabelPattern]
    /// The running executions that are considered.
    private let running: [RunningExecution]
    /// Those of them that do not plan the work of others.
    let workers: [RunningExecution]
    private let snapshot: Snapshot
    let history: EstimateHistory?
    private let startedTasks: [StartedTask]

    /// The prior of the rate of failures: one percent, like ten executions.
    private static let failurePrior = (failures: 0.1, ends: 10.0)

    /// Creates the estimator of a job.
    ///
    /// - Parameters:
    ///   - state: The state as of the snapshot.
    ///   - history: The merged summaries of earlier jobs; nil or an empty one without any.
    ///   - startedTasks: The tasks that have begun. Only used with history.
    public init(_ state: EstimateState, _ snapshot: Snapshot, history: EstimateHistory?, startedTasks: [StartedTask]) {
        self.state = state
        patterns = state.labels
        running = state.consideredExecutions
        workers = state.workersDeclare ? running : running.filter { !$0.isOnlyDeclaring }
        self.snapshot = snapshot
        self.history = history.flatMap { $0.runs > 0 ? $0 : nil }
        self.startedTasks = startedTasks
    }

    /// The estimate at a moment, not before the last event of the snapshot.
    public func estimate(at now: Timestamp) -> Estimate {
        prediction(at: now).estimate
    }

    /// An estimate, and its interval before the errors of earlier jobs corrected it.
    struct Prediction {
        var estimate: Estimate
        var uncalibrated: RemainingTimeQuantiles?
    }

    func prediction(at now: Timestamp) -> Prediction {
        guard snapshot.state == .running else { return Prediction(estimate: .none(.finished)) }
        guard let startedAt = snapshot.startedAt else { return Prediction(estimate: .none(.noProgress)) }
        let elapsed = now.seconds(since: startedAt)
        var labels = labelWork(elapsed: elapsed)
        guard labels.contains(where: { $0.total > 0 }) else {
            return Prediction(estimate: usual(elapsed: elapsed) ?? .none(.totalUnknown))
        }
        let isLeft = labels.contains { $0.left > 0 }
        // An execution that has done all its units may end at once, or was lost before it could.
        if !isLeft, workers.allSatisfy({ $0.advances > 0 }), growth(of: labels, in: [], at: now).isEmpty {
            return Prediction(estimate: closing(since: startedAt, now: now))
        }
        guard history != nil || !workers.isEmpty || state.succeeded > 0 || labels.contains(where: { $0.done > 0 })
        else { return Prediction(estimate: .none(.noProgress)) }

        let oldest = workers.first.map { now.seconds(since: $0.startedAt) } ?? 0
        let pool = DurationPool(labels, oldest: oldest)
        let speed = history.map { JobSpeed(state, labels, $0, startedTasks: startedTasks) } ?? .unknown
        var builder = RunningWorkBuilder(workers, labels, history, speed, at: now, startedAt: startedAt)
        var classes = WorkClassBuilder(
            labels, pool, speed, builder.typicalPart,
            sharing: sharing
        ).classes(of: &labels)
        let running = builder.running(in: &classes, of: labels)
        if speed.tasksAreKnown { addWaitingTasks(to: &classes, labels) }
        let conditions = CompletionSimulation.Conditions(
            now: now, elapsed: elapsed, pool: pool, speed: speed,
            taskSpread: history?.taskSpread ?? EstimateHistory.taskSpreadPrior,
            usualWorkers: min(state.concurrency.mean, Double(RunningWorkBuilder.simulatedMax)),
            failureRate: (Double(state.failed) + Self.failurePrior.failures)
                / (Double(state.failed + state.succeeded) + Self.failurePrior.ends),
            idle: workers.isEmpty && isLeft && state.concurrency.seconds > 0
                ? state.lastEventAt.map { now.seconds(since: $0) } : nil,
            growth: growth(of: labels, in: classes, at: now))
        var simulation = CompletionSimulation(classes, running, conditions)
        let draws = simulation.run()
        var interval = RemainingTimeQuantiles(draws.map(\.seconds), elapsed: elapsed, hasHistory: history != nil)
        let uncalibrated = interval
        if let history { interval.calibrate(by: history, elapsed: elapsed) }
        let estimate = Estimate(
            remaining: interval.remaining, basis: history == nil ? .job : .history,
            waitingFor: waitingFor(draws, in: simulation), reason: nil)
        return Prediction(estimate: estimate, uncalibrated: uncalibrated)
    }

    /// The number of executions that share the rest of a label.
    ///
    /// They are the running ones, or else as many as usual.
    var sharing: Double { max(1, workers.isEmpty ? state.concurrency.mean : Double(workers.count)) }

    func labelWork(elapsed: Double) -> [LabelWork] {
        let byKey = Dictionary(patterns.indices.map { (patterns[$0].key, $0) }) { first, _ in first }
        return snapshot.indicators.map { indicator in
            let key = NameKey(indicator.label)
            return LabelWork(
                indicator, key: key, byKey[key].map { patterns[$0] }, history,
                repeatsFailures: state.repeatsFailures, elapsed: elapsed)
        }
    }

    /// The share of a job's duration after which it is not expected to end any more.
    private static let closingShare = 0.25
    /// The least time since the last event: a share of the job's duration, and seconds.
    private static let closingMin = (share: 0.002, seconds: 0.01)
    /// The quantiles of the rest, as multiples of the time since the last event.
    private static let closingFactors = Estimate.Remaining(p10: 0.1, p50: 0.6, p90: 5)

    /// The estimate of a job that has done everything and has not ended.
    ///
    /// The end is usually at once; the longer it does not come, the longer it may take. A job that stays like this is
    /// one that is never ended, and there is nothing to wait for.
    private func closing(since startedAt: Timestamp, now: Timestamp) -> Estimate {
        let last = max(patterns.compactMap(\.lastAdvance).max() ?? startedAt, state.lastEventAt ?? startedAt)
        let silence = now.seconds(since: last)
        guard silence <= max(Self.closingShare * last.seconds(since: startedAt), LogDuration.secondsMin) else {
            return .none(.allDone)
        }
        let seconds = max(
            silence, Self.closingMin.share * now.seconds(since: startedAt), Self.closingMin.seconds)
        let factors = Self.closingFactors
        return Estimate(
            remaining: Estimate.Remaining(
                p10: factors.p10 * seconds, p50: factors.p50 * seconds, p90: factors.p90 * seconds),
            basis: history == nil ? .job : .history, waitingFor: nil, reason: nil)
    }

    /// The least rest as a share of the time beyond the usual duration.
    ///
    /// It is that of the highest quantile.
    private static let overdueShare = 0.5

    /// The estimate of a job that has declared nothing yet.
    ///
    /// It is that of the latest job of its name. Durations differ from job to job by a lognormal factor. Of those, only
    /// the ones that are longer than the job has lasted are still possible.
    private func usual(elapsed: Double) -> Estimate? {
        guard let history, history.lastSeconds > 0 else { return nil }
        let (mean, deviation) = (history.lastSeconds.naturalLogarithm, JobSpeed.priorDeviation)
        let longer = ((max(elapsed, LogDuration.secondsMin).naturalLogarithm - mean) / deviation).normalSurvival
        func left(_ share: Double) -> Double {
            let quantile = (1 - longer * (1 - share)).clamped(to: CompletionSimulation.quantileRange)
            let seconds = (mean + deviation * quantile.normalQuantile).exponential
            // Far beyond the usual duration, the best guess is a share of the time it has lasted already.
            return max(seconds - elapsed, share * Self.overdueShare * max(0, elapsed - history.lastSeconds))
        }
        return Estimate(
            remaining: Estimate.Remaining(p10: left(0.1), p50: left(0.5), p90: left(0.9)), basis: .history,
            waitingFor: nil, reason: nil)
    }

    private func addWaitingTasks(to classes: inout [WorkClass], _ labels: [LabelWork]) {
        guard let history else { return }
        let running = Set(running.map(\.taskKey))
        // A task that failed is waiting to be repeated.
        let begun = Set(startedTasks.filter { $0.hasSucceeded || running.contains($0.key) }.map(\.key))
        let indices = Dictionary(labels.map { ($0.key, $0.classIndex) }) { first, _ in first }
        for (task, known) in history.tasks where !begun.contains(task) {
            guard let index = indices[known.label] ?? nil else { continue }
            classes[index].waitingTasks.append(known.logarithm)
        }
    }

    /// The number of declarations from which growth is regular.
    private static let growthDeclarationsMin = 5
    /// The longest time since the last declaration, in mean intervals.
    private static let growthPauseMax = 3.0
    /// The latest declarations that give the rate: a part of all, at least so many.
    private static let rateDeclarations = (divisor: 2, countMin: 4)

    /// The labels with totals that grow regularly.
    ///
    /// They have several declarations, the last one not long ago.
    private func growth(
        of labels: [LabelWork], in classes: [WorkClass], at now: Timestamp
    ) -> [CompletionSimulation.Growth] {
        labels.compactMap { label in
            guard label.inHistory == nil, let declarations = label.pattern?.declarations,
                declarations.count >= Self.growthDeclarationsMin, let first = declarations.first,
                let last = declarations.last
            else { return nil }
            let span = last.at.seconds(since: first.at)
            let since = now.seconds(since: last.at)
            guard since <= Self.growthPauseMax * span / Double(declarations.count - 1) else { return nil }
            let recentCount = max(Self.rateDeclarations.countMin, declarations.count / Self.rateDeclarations.divisor)
            let from = max(0, declarations.count - 1 - recentCount)
            let recent = declarations[(from + 1)...].reduce(0) { $0 + Double($1.units) }
            let rate = recent / max(.divisorMin, now.seconds(since: declarations[from].at))
            return CompletionSimulation.Growth(
                classIndex: label.classIndex, units: label.classIndex.map { classes[$0].units } ?? 1, span: span,
                since: since, rate: rate)
        }
    }

    /// The maximum number of executions that are named.
    private static let namedMax = 3
    /// The part of the draws in which a named execution must end last: a tenth.
    ///
    /// One that ends last by chance alone is not worth naming.
    private static let namedDivisor = 10

    /// The indicator and the executions that ended last in most draws.
    private func waitingFor(
        _ draws: [CompletionSimulation.Draw], in simulation: CompletionSimulation
    ) -> Estimate.WaitingFor? {
        var byLabel: [(label: Name?, draws: Int)] = []
        var byExecution: [Int: Int] = [:]
        for draw in draws {
            if let running = draw.running { byExecution[running, default: 0] += 1 }
            let label: Name?
            if let index = draw.classIndex {
                label = simulation.classes[index].label
            } else if let running = draw.running {
                label = simulation.running[running].label
            } else {
                continue
            }
            if let existing = byLabel.firstIndex(where: { $0.label == label }) {
                byLabel[existing].draws += 1
            } else {
                byLabel.append((label, 1))
            }
        }
        guard let label = byLabel.max(by: { $0.draws < $1.draws }) else { return nil }
        let executions = byExecution.filter { Self.namedDivisor * $0.value >= draws.count }
            .sorted { ($0.value, $1.key) > ($1.value, $0.key) }
            .prefix(Self.namedMax)
            .map { simulation.running[$0.key].execution }
        return Estimate.WaitingFor(label: label.label, executions: executions)
    }
}
