extension Fold {
    /// Returns the snapshot for a counting policy.
    ///
    /// The fold must contain the whole job. Costs a pass over the indicators, and with
    /// ``CountingPolicy/lastSuccessful`` also one over the executions.
    public func snapshot(_ policy: CountingPolicy = .last) -> Snapshot {
        Snapshot(
            sequence: progress.sequence, state: progress.state, createdAt: progress.createdAt,
            startedAt: progress.startedAt, updatedAt: progress.updatedAt, finishedAt: progress.finishedAt,
            tasks: progress.tasks.shown(in: progress.state), message: progress.message, indicators: indicators(policy))
    }

    private func indicators(_ policy: CountingPolicy) -> [Snapshot.Indicator] {
        let ordered = indicators.sorted { $0.id < $1.id }
        switch policy {
        case .last:
            return ordered.compactMap(\.shown)
        case .all:
            return ordered.compactMap { indicator in
                guard indicator.countedEvents + indicator.supersededEvents > 0 else { return nil }
                return indicator.shown(counting: indicator.attempted)
            }
        case .lastSuccessful:
            var counted: [IndicatorID: Units] = [:]
            for index in lastSuccessfulExecutions().values {
                for entry in executions[index].contributions.entries {
                    counted[entry.indicator, default: .zero] += entry.units
                }
            }
            return ordered.compactMap { indicator in
                counted[indicator.id].map { indicator.shown(counting: $0) }
            }
        }
    }

    /// The index of each task's highest successful execution, by task.
    func lastSuccessfulExecutions() -> [TaskID: Int] {
        var highest: [TaskID: Int] = [:]
        for (index, execution) in executions.enumerated() where execution.outcome == .succeeded {
            if let other = highest[execution.task], executions[other].rank > execution.rank { continue }
            highest[execution.task] = index
        }
        return highest
    }

    /// Returns the state of an indicator; nil if no event has named it.
    public func indicatorState(of label: Name?) -> IndicatorState? {
        labelledIndicators[label].map { indicators[$0] }
    }

    /// Returns the state of the execution with this id.
    public func execution(_ id: ExecutionID) -> Execution? {
        executionIndices[id].map { executions[$0] }
    }

    /// Returns the state of the task with this name.
    public func task(_ name: Name) -> JobTask? {
        taskIndices[name].map { tasks[$0] }
    }

    /// The states of the indicators, in the order in which they were first named.
    public var indicatorStates: [IndicatorState] { indicators.sorted { $0.id < $1.id } }

    /// The states of the executions, in the order in which they began.
    public var executionStates: [Execution] { executions.sorted { $0.id < $1.id } }

    /// The states of the tasks, in the order in which they began.
    public var taskStates: [JobTask] { tasks.sorted { $0.id < $1.id } }
}
