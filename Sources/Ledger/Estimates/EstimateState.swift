/// The part of a job's past that estimates are computed from.
///
/// It is folded from the job's events together with the ``Fold``, at a cost that does not depend on the size of the
/// job, and its size is limited: about a kilobyte for a job with one label and sixteen workers, 150 kB in the extreme.
/// What is done and what is left is not in it, because the snapshot has it.
public struct EstimateState: Hashable, Sendable {
    /// The patterns of the labels, in the order of their first counted report.
    var labels: [LabelPattern] = []
    /// The running executions, in the order of their start, at most ``runningMax``.
    var running: [RunningExecution] = []
    /// The number of running executions beyond ``runningMax``.
    var untrackedRunning: Int64 = 0
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
    /// The number of tracked running executions that only declare units.
    var onlyDeclaring: Int64 = 0
    /// The number of parts of the running executions.
    var partCount = 0
    /// The recent mean of concurrent workers, as area and time, both decayed.
    var concurrency = Concurrency()
    /// The time of the last event that counted.
    var lastEventAt: Timestamp?

    /// Enough for the quantiles; the simulation samples 128 of them.
    static let runningMax = 512
    /// The maximum number of ``RunningExecution/parts`` of all running executions.
    static let partsMax = 4_096
    /// The maximum number of labels; the estimator treats further ones as not yet seen.
    static let labelsMax = 1_000

    /// The maximum number of recent samples per label.
    ///
    /// 256 give stable quantiles and let slow changes show; 8 are the fewest that a change is recognised from.
    static func recentSamplesMax(labels: Int) -> Int { min(256, max(8, 4_096 / max(1, labels))) }

    /// The state before the first event.
    public init() {}

    /// The mean number of concurrent workers.
    ///
    /// Earlier times fade with a time constant of a quarter of the elapsed time.
    struct Concurrency: Hashable, Sendable {
        var workerSeconds = 0.0
        var seconds = 0.0

        mutating func add(workers: Int64, seconds elapsed: Double, jobSeconds: Double) {
            guard workers > 0, elapsed > 0 else { return }
            let decay = (-elapsed / max(1e-9, jobSeconds / 4)).exponential
            workerSeconds = workerSeconds * decay + Double(workers) * elapsed
            seconds = seconds * decay + elapsed
        }

        /// The mean; 1 if nothing has run yet.
        var mean: Double { seconds > 0 ? workerSeconds / seconds : 1 }
    }

    /// The number of executions that failed or were superseded before they ended.
    public var failedExecutions: Int64 { failed }

    /// The number of running executions that do work.
    public var workers: Int64 { Int64(running.count) + untrackedRunning - (workersDeclare ? 0 : onlyDeclaring) }

    /// Folds the next event into the job's fold and into this state.
    ///
    /// The fold decides which events count; the others change nothing here.
    ///
    /// - Throws: What ``Fold/apply(_:)`` throws.
    @discardableResult
    public mutating func apply(_ event: Event, to fold: inout Fold) throws(FoldStateError) -> Fold.Decision {
        let outcomeBefore: ExecutionOutcome? =
            if case .executionFinished(let reference, _) = event.body { fold.outcome(of: reference) } else { nil }
        let decision = try fold.apply(event)
        guard decision.verdict == .counted, let sequence = decision.execution, let startedAt = fold.progress.startedAt
        else { return decision }
        if let last = lastEventAt {
            concurrency.add(
                workers: workers, seconds: event.recordedAt.seconds(since: last),
                jobSeconds: event.recordedAt.seconds(since: startedAt))
        }
        lastEventAt = event.recordedAt
        if let superseded = decision.superseded { supersede(superseded, in: fold) }
        if sequence == event.sequence { start(event, sequence) }
        switch event.body {
        case .jobCreated, .jobFinished, .executionStarted: break
        case .progress(let report):
            if let indicator = decision.indicator { add(report, on: indicator, of: sequence, at: event.recordedAt) }
        case .executionFinished(_, let outcome):
            finish(sequence, as: outcome, after: outcomeBefore, at: event.recordedAt, in: fold)
        }
        return decision
    }

    // MARK: Executions

    private func index(of sequence: Int64) -> Int? {
        let index = running.partitioningIndex { $0.sequence >= sequence }
        return index < running.count && running[index].sequence == sequence ? index : nil
    }

    private mutating func start(_ event: Event, _ sequence: Int64) {
        guard let reference = event.body.reference else { return }
        guard running.count < Self.runningMax else {
            untrackedRunning += 1
            return
        }
        running.append(
            RunningExecution(
                sequence: sequence, task: NameKey(reference.task).half, startedAt: event.recordedAt,
                isAnnounced: event.body.type == .executionStarted))
    }

    private mutating func remove(at index: Int) -> RunningExecution {
        let execution = running.remove(at: index)
        partCount -= execution.parts.count
        if execution.isOnlyDeclaring { onlyDeclaring -= 1 }
        return execution
    }

    private mutating func supersede(_ sequence: Int64, in fold: Fold) {
        guard let execution = fold.execution(sequence) else { return }
        switch execution.outcome {
        case nil:
            if let index = index(of: sequence) {
                if !isPlanner(remove(at: index)) { failed += 1 }
            } else {
                untrackedRunning = max(0, untrackedRunning - 1)
                failed += 1
            }
        case .failed:
            repeatsFailures = true
            addProvisional(of: execution, sign: -1)
        case .succeeded, .canceled: break
        }
    }

    /// Whether an execution plans the work of others.
    ///
    /// It is neither a worker nor a sample.
    private func isPlanner(_ execution: RunningExecution) -> Bool { execution.isOnlyDeclaring && !workersDeclare }

    private mutating func finish(
        _ sequence: Int64, as outcome: ExecutionOutcome, after before: ExecutionOutcome?, at moment: Timestamp,
        in fold: Fold
    ) {
        guard let execution = fold.execution(sequence) else { return }
        if before == .failed { addProvisional(of: execution, sign: -1) }
        if outcome == .failed { addProvisional(of: execution, sign: 1) }
        // A repeated end changes the outcome, but the execution is over.
        guard before == nil else { return }
        var ended: RunningExecution
        if let index = index(of: sequence) {
            let isPlanning = isPlanner(running[index])
            ended = remove(at: index)
            if isPlanning { return }
        } else {
            untrackedRunning = max(0, untrackedRunning - 1)
            ended = untracked(execution)
        }
        switch outcome {
        case .canceled: break
        case .failed: failed += 1
        case .succeeded:
            succeeded += 1
            sumOfLogarithms += max(moment.seconds(since: ended.startedAt), LogDuration.secondsMin).naturalLogarithm
            addSamples(of: &ended, at: moment)
        }
    }

    private mutating func addSamples(of execution: inout RunningExecution, at moment: Timestamp) {
        guard let last = execution.parts.lastIndex(where: { $0.done > 0 }) else { return }
        // The time after the last report belongs to its label.
        execution.attributeTime(until: moment, to: last)
        let recentMax = Self.recentSamplesMax(labels: labels.count)
        for part in execution.parts where part.done > 0 {
            labels[part.label].addSample(microseconds: part.microseconds, units: part.done, recentMax: recentMax)
        }
    }

    /// An execution that was not tracked while it ran.
    ///
    /// It gives a sample only if it has a single label.
    private func untracked(_ execution: Execution) -> RunningExecution {
        var ended = RunningExecution(
            sequence: execution.sequence, task: 0, startedAt: execution.startedAt, isAnnounced: true)
        guard let entry = execution.contributions.entries.first, execution.contributions.entries.count == 1,
            let label = pattern(of: entry.indicator)
        else { return ended }
        ended.parts = [RunningExecution.Part(label: label, done: Int64(clamping: entry.units.done))]
        return ended
    }

    private mutating func addProvisional(of execution: Execution, sign: Int64) {
        for entry in execution.contributions.entries where entry.units.done > 0 {
            guard let label = pattern(of: entry.indicator) else { continue }
            let change = sign * Int64(clamping: entry.units.done)
            labels[label].provisionalDone = max(0, labels[label].provisionalDone.adding(change))
        }
    }

    // MARK: Reports

    /// The index of an indicator's pattern; nil without one.
    private func pattern(of indicator: Int64) -> Int? { labels.firstIndex { $0.indicator == indicator } }

    /// Adds the pattern of an indicator.
    ///
    /// - Returns: Its index; nil if there are too many.
    private mutating func addPattern(of indicator: Int64, label: Name?) -> Int? {
        guard labels.count < Self.labelsMax else { return nil }
        labels.append(LabelPattern(indicator: indicator, key: NameKey(label)))
        return labels.count - 1
    }

    private mutating func add(
        _ report: ProgressReport, on indicator: Int64, of sequence: Int64, at moment: Timestamp
    ) {
        let (total, done) = (report.total ?? 0, report.done ?? 0)
        guard total > 0 || done > 0 else { return }
        guard let label = pattern(of: indicator) ?? addPattern(of: indicator, label: report.label) else { return }
        if total > 0 { labels[label].declare(total, at: moment) }
        if done > 0 { labels[label].lastAdvance = moment }
        guard let index = index(of: sequence) else { return }
        let wasOnlyDeclaring = running[index].isOnlyDeclaring
        let before = running[index].parts.count
        let room = running[index].parts.count + Self.partsMax - partCount
        if let part = running[index].part(of: label, max: room) {
            partCount += running[index].parts.count - before
            running[index].parts[part].total = running[index].parts[part].total.adding(total)
            if done > 0 {
                running[index].attributeTime(until: moment, to: part)
                running[index].parts[part].done = running[index].parts[part].done.adding(done)
            }
        }
        if done > 0 {
            if running[index].advances == 0 { running[index].firstUnits = done }
            running[index].advances += 1
            running[index].lastAdvance = moment
            if running[index].parts.contains(where: { $0.total > 0 && $0.done > 0 }) { workersDeclare = true }
        }
        let isOnlyDeclaring = running[index].isOnlyDeclaring
        if isOnlyDeclaring != wasOnlyDeclaring { onlyDeclaring += isOnlyDeclaring ? 1 : -1 }
    }
}

extension Fold {
    /// The outcome of an existing execution.
    ///
    /// Nil while it is running, and if the reference begins a new one.
    fileprivate func outcome(of reference: ExecutionReference) -> ExecutionOutcome? {
        executionIndex(of: reference).flatMap { executions[$0].outcome }
    }
}
