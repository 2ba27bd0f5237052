extension Fold {
    /// The tasks with their executions, in the order in which they began: at most `limit`, after the one that this
    /// sequence tells.
    ///
    /// Only a fold that holds all of its job can tell. Costs a pass over its tasks and executions.
    public func taskSummaries(
        in state: TaskState? = nil, limit: Int, after cursor: Int64 = 0
    ) -> (tasks: [TaskSummary], hasMore: Bool) {
        let jobState = progress.state
        let wanted = taskStates.lazy.filter {
            $0.sequence > cursor && (state == nil || $0.state.shown(in: jobState) == state)
        }
        let page = Array(wanted.prefix(limit + 1))
        let shown = Set(page.prefix(limit).map(\.sequence))
        let executions = Dictionary(grouping: executions.filter { shown.contains($0.task) }, by: \.task)
        let labels = Dictionary(uniqueKeysWithValues: indicators.map { ($0.sequence, $0.label) })
        let tasks = page.prefix(limit).map { task in
            TaskSummary(
                name: task.name, state: task.state.shown(in: jobState), firstSequence: task.sequence,
                executionCount: task.executionCount,
                executions: (executions[task.sequence] ?? []).sorted { $0.rank < $1.rank }
                    .suffix(TaskSummary.executionsMax).map { ExecutionSummary($0, labels: labels) })
        }
        return (tasks, page.count > limit)
    }
}

extension TaskSummary {
    /// Why an execution does not count.
    public struct Supersession: Hashable, Sendable {
        /// The execution that took its place, or was last already when it began.
        public var by: ExecutionIdentity
        /// Whether that one was there already.
        public var isLate: Bool
    }

    /// Why this one of its executions does not count; nil for the one that does. By the executions that the summary
    /// holds: of a task with more, the superseder may be another than the first.
    public func supersession(of execution: ExecutionSummary) -> Supersession? {
        guard !execution.isCounted else { return nil }
        func isHigher(_ other: ExecutionSummary) -> Bool {
            (other.attempt, other.firstSequence) > (execution.attempt, execution.firstSequence)
        }
        let higher = executions.filter(isHigher)
        let earlier = higher.filter { $0.firstSequence < execution.firstSequence }
        let winner =
            earlier.max { ($0.attempt, $0.firstSequence) < ($1.attempt, $1.firstSequence) }
            ?? higher.min { $0.firstSequence < $1.firstSequence }
        return winner.map { winner in
            Supersession(
                by: ExecutionIdentity(execution: winner.name, attempt: winner.attempt, sequence: winner.firstSequence),
                isLate: !earlier.isEmpty)
        }
    }
}
