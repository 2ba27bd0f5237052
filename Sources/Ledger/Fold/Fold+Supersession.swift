extension Fold {
    /// Moves the units of an execution from counted to superseded.
    ///
    /// A higher execution of its task begins with the event. Costs a pass over the labels of the superseded execution.
    mutating func supersede(_ index: Int, by event: Event) {
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
