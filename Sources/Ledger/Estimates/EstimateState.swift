/// The part of a job's past that estimates are computed from.
///
/// It is folded from the job's events together with the ``Fold``. Like the fold, it can be continued from the parts
/// that the next events touch: the job as a whole, the patterns of some labels, and some running executions. Therefore
/// an event costs the same however many executions are running. What is done and what is left is not in it, because
/// the snapshot has it.
public struct EstimateState: Hashable, Sendable {
    /// The patterns of the labels.
    ///
    /// Of a restored state, those that were restored.
    var patterns: [IndicatorID: LabelPattern] = [:]
    /// The running last executions.
    ///
    /// Of a restored state, those that were restored.
    var running: [ExecutionID: RunningExecution] = [:]
    /// The number of labels with a pattern.
    var labelCount: Int64 = 0
    /// The number of running last executions.
    var runningCount: Int64 = 0
    /// The number of executions that succeeded, without those that only declared units.
    var succeeded: Int64 = 0
    /// The number of executions that failed or were superseded.
    ///
    /// Those that only declared units are not among them.
    var failed: Int64 = 0
    /// The sum of the logarithms of the durations of all executions in ``succeeded``.
    var sumOfLogarithms = 0.0
    /// Whether an execution did units that it had declared.
    ///
    /// Then executions that have only declared units so far are workers, too.
    var workersDeclare = false
    /// Whether a failed execution has been superseded: then failed work is repeated.
    var repeatsFailures = false
    /// The number of running executions that only declare units.
    var onlyDeclaring: Int64 = 0
    /// The recent mean of concurrent workers, as area and time, both decayed.
    var concurrency = Concurrency()
    /// The time of the last event that counted.
    var lastEventAt: Timestamp?
    /// The time of the last counted `done` of any label.
    var lastAdvance: Timestamp?
    /// The time at which the job was last reopened, after it had ended; nil for never.
    var reopenedAt: Timestamp?
    /// The gaps between such times.
    ///
    /// The first one begins with the first execution.
    var gaps = AdvanceGaps()

    /// The maximum number of running executions that an estimate considers.
    ///
    /// They are those of the tasks that began first. Enough for the quantiles; the simulation samples 128 of them.
    public static let runningMax = 512
    /// The maximum number of labels with a pattern.
    ///
    /// The estimator treats further ones as not yet seen.
    public static let labelsMax = 1_000

    /// The maximum number of executions of a job for which a missing state is built.
    ///
    /// Only a job that began before an upgrade lacks its state.
    public static let rebuiltExecutionsMax: Int64 = 200_000

    /// The maximum number of recent samples of all labels together.
    ///
    /// A label has at least the fewest of ``recentSamples`` nevertheless.
    private static let recentSamplesInAllMax: Int64 = 4_096
    /// The fewest and the most recent samples of a label.
    ///
    /// 256 give stable quantiles and let slow changes show; 8 are the fewest that a change is recognised from.
    private static let recentSamples: (fewest: Int64, most: Int64) = (8, 256)

    /// The maximum number of recent samples per label.
    static func recentSamplesMax(labels: Int64) -> Int {
        Int(min(recentSamples.most, max(recentSamples.fewest, recentSamplesInAllMax / max(1, labels))))
    }

    /// The state before the first event.
    public init() {}

    /// The mean number of concurrent workers.
    ///
    /// Earlier times decay as in ``Throughput``.
    struct Concurrency: Hashable, Sendable {
        var workerSeconds = 0.0
        var seconds = 0.0

        mutating func add(workers: Int64, seconds elapsed: Double, jobSeconds: Double) {
            guard workers > 0, elapsed > 0 else { return }
            let decay = Throughput.decay(after: elapsed, jobSeconds: jobSeconds)
            workerSeconds = workerSeconds * decay + Double(workers) * elapsed
            seconds = seconds * decay + elapsed
        }

        /// The mean; 1 if nothing has run yet.
        var mean: Double { seconds > 0 ? workerSeconds / seconds : 1 }
    }

    /// Whether executions of this job end.
    ///
    /// Jobs may report units without starts and ends of executions. Their executions stay running for ever.
    var executionsEnd: Bool { succeeded + failed > 0 }

    /// The number of executions that failed or were superseded before they ended.
    public var failedExecutions: Int64 { failed }

    /// The patterns of the labels, in the order of their indicators.
    var labels: [LabelPattern] { patterns.values.sorted { $0.indicator < $1.indicator } }

    /// The running executions that an estimate considers.
    ///
    /// They are in the order in which their tasks began.
    var consideredExecutions: [RunningExecution] {
        // Only the tasks are sorted: an execution is many words long.
        let order = running.values.map { (task: $0.task, id: $0.id) }.sorted { $0.task < $1.task }
        return order.prefix(Self.runningMax).compactMap { running[$0.id] }
    }

    /// The approximate bytes of a running execution and of a pattern.
    private static let partBytes = (execution: 320, pattern: 1_536)

    /// The approximate memory in bytes, by the sizes of the parts.
    public var memoryEstimate: Int {
        running.count * Self.partBytes.execution + patterns.count * Self.partBytes.pattern
    }

    /// The number of running executions that do work.
    public var workers: Int64 { runningCount - (workersDeclare ? 0 : onlyDeclaring) }

    /// Folds the next event into the job's fold and into this state.
    ///
    /// The fold decides which events count; the others change nothing here.
    ///
    /// - Throws: What ``Fold/apply(_:)`` throws.
    @discardableResult
    public mutating func apply(_ event: Event, to fold: inout Fold) throws(FoldStateError) -> Fold.Decision {
        let outcomeBefore: ExecutionOutcome? =
            if case .executionFinished(let reference, _) = event.body { fold.outcome(of: reference) } else { nil }
        let hadEnded = fold.progress.finishedAt != nil
        let decision = try fold.apply(event)
        if hadEnded, fold.progress.finishedAt == nil { reopenedAt = event.recordedAt }
        // An execution that this event begins is added below.
        var index = decision.execution.flatMap { $0.sequence == event.sequence ? nil : running.index(forKey: $0) }
        if let index { recordEvent(event, of: index) }
        guard decision.verdict == .counted, let execution = decision.execution, let startedAt = fold.progress.startedAt
        else { return decision }
        if let last = lastEventAt {
            concurrency.add(
                workers: workers, seconds: event.recordedAt.seconds(since: last),
                jobSeconds: event.recordedAt.seconds(since: startedAt))
        }
        lastEventAt = event.recordedAt
        if let superseded = decision.superseded { supersede(superseded, in: &fold) }
        if execution.sequence == event.sequence {
            start(event, execution, in: fold)
            index = running.index(forKey: execution)
        }
        switch event.body {
        case .jobCreated, .jobFinished, .executionStarted: break
        case .progress(let report):
            // Carried units advance the job, but no pause of its work ends with them.
            if report.workedDone > 0 {
                gaps.add(event.recordedAt, after: max(lastAdvance ?? startedAt, reopenedAt ?? startedAt))
            }
            if report.done ?? 0 > 0 { lastAdvance = event.recordedAt }
            if let indicator = decision.indicator {
                add(report, on: indicator, of: index, at: event.recordedAt, since: startedAt)
            }
        case .executionFinished(_, let outcome):
            finish(execution, as: outcome, after: outcomeBefore, at: event.recordedAt, in: &fold)
        }
        return decision
    }

    // MARK: Executions

    /// The position of a running execution.
    ///
    /// It is valid until another one is added or removed. Looking it up again takes as long as the rest of a report.
    private typealias RunningIndex = Dictionary<ExecutionID, RunningExecution>.Index

    private mutating func start(_ event: Event, _ id: ExecutionID, in fold: Fold) {
        guard let reference = event.body.reference, let task = fold.execution(id)?.task else { return }
        runningCount += 1
        running[id] = RunningExecution(
            id, of: task, taskKey: NameKey(reference.task).half, startedAt: event.recordedAt,
            isAnnounced: event.body.type == .executionStarted, beginsBeforeFirstUnit: !Self.reportsUnits(event))
    }

    /// Whether an event reports units that its execution did.
    private static func reportsUnits(_ event: Event) -> Bool {
        if case .progress(let report) = event.body { report.workedDone > 0 } else { false }
    }

    /// Records an event of a running execution, which ends its silence.
    ///
    /// Also a discarded event does.
    private mutating func recordEvent(_ event: Event, of index: RunningIndex) {
        let isReport =
            switch event.body {
            // A declaration alone is preparation, after which the first unit takes as long as any.
            case .progress(let report): report.done ?? 0 > 0 || report.total ?? 0 == 0
            default: true
            }
        running.values[index].recordEvent(at: event.recordedAt, isReport: isReport)
    }

    /// Removes an execution that has ended or was superseded.
    private mutating func remove(_ id: ExecutionID) -> RunningExecution? {
        guard let execution = running.removeValue(forKey: id) else { return nil }
        runningCount -= 1
        if execution.isOnlyDeclaring { onlyDeclaring -= 1 }
        return execution
    }

    private mutating func supersede(_ id: ExecutionID, in fold: inout Fold) {
        guard let execution = fold.execution(id) else { return }
        switch execution.outcome {
        case nil:
            if let removed = remove(id), !isPlanner(removed) {
                failed += 1
                addUnsuccessful(removed, in: &fold)
            }
        case .failed:
            repeatsFailures = true
            addProvisional(of: execution, sign: -1, in: &fold)
        case .succeeded, .canceled: break
        }
    }

    /// Whether an execution plans the work of others.
    ///
    /// It is neither a worker nor a sample.
    private func isPlanner(_ execution: RunningExecution) -> Bool { execution.isOnlyDeclaring && !workersDeclare }

    private mutating func finish(
        _ id: ExecutionID, as outcome: ExecutionOutcome, after before: ExecutionOutcome?, at moment: Timestamp,
        in fold: inout Fold
    ) {
        guard let execution = fold.execution(id) else { return }
        if before == .failed { addProvisional(of: execution, sign: -1, in: &fold) }
        if outcome == .failed { addProvisional(of: execution, sign: 1, in: &fold) }
        // A repeated end changes the outcome, but the execution is over.
        guard before == nil, var ended = remove(id), !isPlanner(ended) else { return }
        switch outcome {
        case .canceled: addUnsuccessful(ended, in: &fold)
        case .failed:
            failed += 1
            addUnsuccessful(ended, in: &fold)
        case .succeeded:
            succeeded += 1
            sumOfLogarithms += max(moment.seconds(since: ended.startedAt), LogDuration.secondsMin).naturalLogarithm
            addSamples(of: &ended, at: moment, in: &fold)
        }
    }

    private mutating func addSamples(of execution: inout RunningExecution, at moment: Timestamp, in fold: inout Fold) {
        guard let last = execution.parts.lastIndex(where: { $0.done > 0 }) else { return }
        // The time after the last report belongs to its label.
        execution.attributeTime(until: moment, to: last)
        let recentMax = Self.recentSamplesMax(labels: labelCount)
        for part in execution.parts where part.done > 0 {
            patterns[part.indicator]?
                .addSample(
                    microseconds: part.microseconds, units: part.done, quiet: execution.longestQuiet,
                    recentMax: recentMax)
            fold.touchIndicator(part.indicator)
        }
    }

    /// Adds the work of an execution that did not succeed to the patterns.
    private mutating func addUnsuccessful(_ execution: RunningExecution, in fold: inout Fold) {
        for part in execution.parts where part.done > 0 {
            patterns[part.indicator]?.addUnsuccessful(microseconds: part.microseconds, units: part.done)
            fold.touchIndicator(part.indicator)
        }
    }

    private mutating func addProvisional(of execution: Execution, sign: Int64, in fold: inout Fold) {
        for entry in execution.contributions.entries where entry.units.done > 0 {
            guard let pattern = patterns[entry.indicator] else { continue }
            let change = sign * Int64(clamping: entry.units.done)
            patterns[entry.indicator]?.provisionalDone = max(0, pattern.provisionalDone.adding(change))
            fold.touchIndicator(entry.indicator)
        }
    }

    // MARK: Reports

    /// The position of an indicator's pattern.
    ///
    /// A missing one is added unless there are too many.
    private mutating func patternIndex(
        of indicator: IndicatorID, label: Name?
    ) -> Dictionary<IndicatorID, LabelPattern>.Index? {
        if let index = patterns.index(forKey: indicator) { return index }
        guard labelCount < Int64(Self.labelsMax) else { return nil }
        labelCount += 1
        patterns[indicator] = LabelPattern(indicator: indicator, key: NameKey(label))
        return patterns.index(forKey: indicator)
    }

    /// Adds the units of a report.
    ///
    /// - Parameter execution: Nil if it has ended. Progress after the end counts, but takes no time.
    private mutating func add(
        _ report: ProgressReport, on indicator: IndicatorID, of execution: RunningIndex?, at moment: Timestamp,
        since start: Timestamp
    ) {
        // Carried units took no time here.
        let (total, done, carried) = (report.total ?? 0, report.workedDone, report.carried ?? 0)
        guard total > 0 || done > 0 || carried > 0,
            let pattern = patternIndex(of: indicator, label: report.label)
        else { return }
        patterns.values[pattern].report(total, done, carried, at: moment, since: start, reopened: reopenedAt)
        guard let execution else { return }
        // In place: of a copy, the parts would be copied.
        let change = running.values[execution]
            .add(total: total, done: done, carried: carried, on: indicator, at: moment)
        if change.hasDoneDeclared { workersDeclare = true }
        onlyDeclaring += change.onlyDeclaring
    }
}

extension Fold {
    /// The outcome of an existing execution.
    ///
    /// Nil while it is running, and if the reference begins a new one.
    fileprivate func outcome(of reference: ExecutionReference) -> ExecutionOutcome? {
        executionIndex(of: reference).flatMap { executions[$0].outcome }
    }

    /// Marks the indicator as changed, because its pattern did.
    fileprivate mutating func touchIndicator(_ id: IndicatorID) {
        guard let index = indicatorIndices[id] else {
            preconditionFailure("the indicators of an execution that ends or is superseded are restored with it")
        }
        touchIndicator(index)
    }
}
