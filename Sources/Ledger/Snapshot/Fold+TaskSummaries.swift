extension Fold {
    /// Returns a page of tasks with their executions, in the order in which they began.
    ///
    /// The fold must contain the whole job. Costs a pass over its tasks and executions.
    ///
    /// - Parameters:
    ///   - state: The state that tasks must have; nil for all tasks.
    ///   - silence: The silent executions.
    ///   - onlySilent: Whether a task must have one of them.
    ///   - limit: The maximum number of tasks.
    ///   - cursor: The sequence of the task after which the page begins.
    public func taskSummaries(
        in state: TaskState? = nil, silence: Silence = .none, onlySilent: Bool = false, limit: Int,
        after cursor: TaskID? = nil
    ) -> (tasks: [TaskSummary], hasMore: Bool) {
        let jobState = progress.state
        let matching = taskStates.lazy.filter {
            $0.id.sequence > cursor?.sequence ?? 0 && (state == nil || $0.state.shown(in: jobState) == state)
                && (!onlySilent || silentSince($0, silence) != nil)
        }
        let page = Array(matching.prefix(limit + 1))
        let shown = Set(page.prefix(limit).map(\.id))
        let executions = Dictionary(grouping: executions.filter { shown.contains($0.task) }, by: \.task)
        let labels = Dictionary(uniqueKeysWithValues: indicators.map { ($0.id, $0.label) })
        let tasks = page.prefix(limit).map { task -> TaskSummary in
            var summary = TaskSummary(
                name: task.name, state: task.state.shown(in: jobState), id: task.id,
                executionCount: task.executionCount,
                executions: (executions[task.id] ?? []).sorted { $0.rank < $1.rank }
                    .suffix(TaskSummary.executionsMax).map { ExecutionSummary($0, labels: labels) })
            summary.markSilence(silence)
            return summary
        }
        return (tasks, page.count > limit)
    }

    private func silentSince(_ task: JobTask, _ silence: Silence) -> Timestamp? {
        guard progress.state == .running, let last = execution(task.last), last.outcome == nil else { return nil }
        return silence.since(last.id, lastAt: last.lastAt)
    }
}
