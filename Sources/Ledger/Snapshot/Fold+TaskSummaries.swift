extension Fold {
    /// Returns a page of tasks with their executions.
    ///
    /// The fold must contain the whole job. Costs a pass over its tasks and executions.
    ///
    /// - Parameters:
    ///   - filter: The tasks that are returned, and their order.
    ///   - silence: The silent executions.
    ///   - now: The time until which running executions have taken; nil for that of the last event.
    ///   - limit: The maximum number of tasks.
    ///   - cursor: The task after which the page begins. It has no effect on an order that is not paged.
    public func taskSummaries(
        _ filter: TaskFilter = TaskFilter(), silence: JobSilence = .none, now: Timestamp? = nil, limit: Int,
        after cursor: TaskID? = nil
    ) -> (tasks: [TaskSummary], hasMore: Bool) {
        let jobState = progress.state
        let isPaged = filter.order.isPaged
        let matching = ordered(by: filter.order, now).lazy.filter { task in
            if isPaged, let cursor, filter.order == .started ? task.id <= cursor : task.id >= cursor { return false }
            return (filter.state == nil || task.state.shown(in: jobState) == filter.state)
                && filter.matchesName(task.name) && (!filter.onlySilent || silentSince(task, silence) != nil)
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
        return (tasks, isPaged && page.count > limit)
    }

    /// The tasks in this order.
    ///
    /// Tasks that it does not distinguish are in the order of start.
    private func ordered(by order: TaskOrder, _ now: Timestamp?) -> [JobTask] {
        switch order {
        case .started: return taskStates
        case .newest: return taskStates.reversed()
        case .name: return tasks.sorted { $0.name.text.utf8.lexicographicallyPrecedes($1.name.text.utf8) }
        case .attempts: return tasks.sorted { (-$0.executionCount, $0.id) < (-$1.executionCount, $1.id) }
        case .longest:
            let now = (progress.state == .running ? now ?? progress.updatedAt : nil)?.microseconds
            return ordered { last in
                let end = last.outcome == nil ? now ?? last.lastAt.microseconds : last.lastAt.microseconds
                return (0, last.startedAt.microseconds - end)
            }
        case .quietest: return ordered { last in (last.outcome == nil ? 0 : 1, last.lastAt.microseconds) }
        }
    }

    /// The tasks ascending by a value of their last executions.
    private func ordered(by value: (Execution) -> (Int64, Int64)) -> [JobTask] {
        let values = tasks.map { task in execution(task.last).map(value) ?? (0, 0) }
        return tasks.indices.sorted { left, right in
            values[left] == values[right] ? tasks[left].id < tasks[right].id : values[left] < values[right]
        }.map { tasks[$0] }
    }

    private func silentSince(_ task: JobTask, _ silence: JobSilence) -> Timestamp? {
        guard progress.state == .running, let last = execution(task.last), last.outcome == nil else { return nil }
        return silence.since(last.id, lastAt: last.lastAt)
    }
}
