extension Fold {
    /// Returns the executions of all tasks over time.
    ///
    /// The fold must contain the whole job. Costs a pass over its executions.
    ///
    /// - Parameter timeline: A timeline without executions. Executions that are still running last until its end.
    public func timeline(_ timeline: ExecutionTimeline) -> ExecutionTimeline {
        var timeline = timeline
        let isRunning = progress.state == .running
        for execution in executions {
            timeline.add(execution, isRunning: isRunning && execution.isLast && execution.outcome == nil)
        }
        return timeline
    }
}
