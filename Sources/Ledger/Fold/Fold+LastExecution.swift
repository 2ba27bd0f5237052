/// Determines the last execution of each task, which alone counts.
extension Fold {
    /// Creates the execution that begins with this event, and ranks it within its task.
    mutating func beginExecution(_ reference: ExecutionReference, with event: Event) -> Int {
        let taskIndex = taskIndices[reference.task]
        let last = taskIndex.flatMap { executionIndices[tasks[$0].last] }
        let execution = Execution(
            id: ExecutionID(event.sequence), task: taskIndex.map { tasks[$0].id } ?? TaskID(event.sequence),
            name: reference.execution, attempt: attempt(of: reference, after: last), startedAt: event.recordedAt,
            lastSequence: event.sequence, lastAt: event.recordedAt)
        let index = insert(execution)
        progress.tasks.executions += 1
        if progress.startedAt == nil { progress.startedAt = event.recordedAt }

        guard let taskIndex else {
            insert(
                JobTask(
                    id: execution.task, name: reference.task, last: execution.id, state: .running, executionCount: 1))
            recentExecutions[tasks.count - 1] = index
            touchTask(tasks.count - 1)
            progress.tasks.running += 1
            reopen()
            return index
        }
        guard let last else { preconditionFailure("the last execution of a known task is restored with it") }
        recentExecutions[taskIndex] = index
        tasks[taskIndex].executionCount += 1
        touchTask(taskIndex)
        if execution.rank > executions[last].rank {
            supersede(last, by: event)
            tasks[taskIndex].last = execution.id
            setState(of: taskIndex, to: .running)
            reopen()
        } else {
            executions[index].supersededBy = executions[last].id
        }
        return index
    }

    private func attempt(of reference: ExecutionReference, after last: Int?) -> Int32 {
        if let attempt = reference.attempt { return attempt }
        guard reference.execution != nil else { return 1 }
        // The last execution has the highest attempt, because executions are ordered by attempt.
        guard let last else { return 1 }
        let highest = executions[last].attempt
        return highest < Int32(Limits.attempts.upperBound) ? highest + 1 : highest
    }

    /// Moves the units of an execution from counted to superseded.
    ///
    /// A higher execution of its task begins with the event. Costs a pass over the labels of the superseded execution.
    private mutating func supersede(_ index: Int, by event: Event) {
        executions[index].supersededBy = ExecutionID(event.sequence)
        touchExecution(index)
        for entry in executions[index].contributions.entries {
            guard let indicator = indicatorIndices[entry.indicator] else {
                preconditionFailure("the indicators of an execution that may be superseded are restored with it")
            }
            indicators[indicator].counted -= entry.units
            indicators[indicator].superseded += entry.units
            indicators[indicator].countedEvents -= entry.events
            indicators[indicator].supersededEvents += entry.events
            indicators[indicator].updatedAt = event.recordedAt
            touchIndicator(indicator)
        }
    }
}
