/// Records the changes of a job while its events are folded.
public struct SnapshotDiffRecorder: Sendable {
    private var difference: SnapshotDiff
    private let policy: CountingPolicy
    private let limit: Int

    /// Creates a recorder that begins at the current state of the fold.
    ///
    /// - Parameters:
    ///   - policy: Which executions count in the snapshots.
    ///   - limit: The maximum number of changes of each kind to keep. All changes are counted.
    public init(from fold: Fold, counting policy: CountingPolicy, limit: Int) {
        let snapshot = fold.snapshot(policy)
        difference = SnapshotDiff(
            from: snapshot, to: snapshot, events: [:], started: SnapshotDiff.Changes(),
            finished: SnapshotDiff.Changes(), superseded: SnapshotDiff.Changes())
        self.policy = policy
        self.limit = limit
    }

    /// Records an event after the fold has applied it.
    ///
    /// Costs time in proportion to the units that the event superseded.
    public mutating func record(_ event: Event, _ decision: Fold.Decision, in fold: Fold) {
        difference.events[decision.verdict, default: 0] += 1
        guard !decision.verdict.isDiscarded, let reference = event.body.reference,
            let id = decision.execution, let execution = fold.execution(id)
        else { return }
        if id.sequence == event.sequence {
            difference.started.append(
                SnapshotDiff.Started(
                    task: reference.task, execution: execution.identity, at: event.recordedAt,
                    isLate: !execution.isLast), limit: limit)
        }
        if let superseded = decision.superseded.flatMap({ fold.execution($0) }) {
            difference.superseded.append(
                SnapshotDiff.Superseded(
                    task: reference.task, execution: superseded.identity, by: execution.identity,
                    at: event.recordedAt, lost: fold.contributions(of: superseded)), limit: limit)
        }
        if case .executionFinished(_, let outcome) = event.body {
            difference.finished.append(
                SnapshotDiff.Finished(
                    task: reference.task, execution: execution.identity, sequence: event.sequence,
                    at: event.recordedAt, outcome: outcome), limit: limit)
        }
    }

    /// Returns the difference up to the current state of the fold.
    public func difference(to fold: Fold) -> SnapshotDiff {
        var difference = difference
        difference.to = fold.snapshot(policy)
        return difference
    }
}

extension Fold {
    /// Returns the units that an execution has reported, by label.
    func contributions(of execution: Execution) -> [ExecutionSummary.CountedUnits] {
        execution.contributions.entries.map { entry in
            ExecutionSummary.CountedUnits(
                label: indicatorIndices[entry.indicator].flatMap { indicators[$0].label }, units: entry.units)
        }
    }
}
