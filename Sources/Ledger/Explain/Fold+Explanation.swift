extension Fold {
    /// Explains an indicator by a policy: a page of executions after the cursor.
    ///
    /// The fold must contain the whole job, and its changes must never have been taken. Costs a pass over the job's
    /// executions and discarded events.
    ///
    /// - Parameter onlyUncounted: Whether only executions with units that do not count are returned.
    /// - Returns: nil if no event has named the indicator.
    public func explanation(
        of label: Name?, counting policy: CountingPolicy, onlyUncounted: Bool = false, limit: Int,
        after cursor: Explanation.Cursor? = nil
    ) -> Explanation? {
        guard let indicator = indicatorState(of: label) else { return nil }
        let counted = countedExecutions(policy)
        let taskNames = Dictionary(uniqueKeysWithValues: tasks.map { ($0.id, $0.name) })
        var discarded: [ExecutionID: Units] = [:]
        for discard in dirty.discards where discard.indicator == indicator.id {
            discarded[discard.execution, default: .zero] += discard.units
        }
        var units = Units.zero
        var entries: [(position: Explanation.Cursor, entry: Explanation.Entry)] = []
        for execution in executions {
            let reported = execution.contributions.units(on: indicator.id)
            guard reported != nil || discarded[execution.id] != nil else { continue }
            let winner = counted.execution(of: execution)
            let isCounted = winner == nil ? counted.countsAll : winner == execution.id
            if isCounted { units += reported ?? .zero }
            let position = Explanation.Cursor(
                task: execution.task, attempt: execution.attempt, execution: execution.id)
            if let cursor, position <= cursor { continue }
            if onlyUncounted, isCounted, discarded[execution.id] == nil { continue }
            let successor = policy == .last ? execution.supersededBy : isCounted ? nil : winner
            entries.append(
                (
                    position,
                    Explanation.Entry(
                        task: taskNames[execution.task] ?? "", execution: execution.identity,
                        reported: reported ?? .zero, discarded: discarded[execution.id] ?? .zero,
                        isCounted: isCounted, supersededBy: successor.flatMap { self.execution($0)?.identity })
                ))
        }
        entries.sort { $0.position < $1.position }
        return Explanation(
            sequence: progress.sequence, indicator: indicator.counting(units),
            entries: entries.prefix(limit).map(\.entry),
            nextCursor: entries.count > limit ? entries[limit - 1].position : nil)
    }

    /// The execution of each task that counts.
    private struct CountedExecutions {
        let countsAll: Bool
        /// The sequence of the counted execution by the sequence of its task.
        let ofTask: [TaskID: ExecutionID]

        func execution(of execution: Execution) -> ExecutionID? { ofTask[execution.task] }
    }

    private func countedExecutions(_ policy: CountingPolicy) -> CountedExecutions {
        switch policy {
        case .all: CountedExecutions(countsAll: true, ofTask: [:])
        case .last:
            CountedExecutions(
                countsAll: false, ofTask: Dictionary(uniqueKeysWithValues: tasks.map { ($0.id, $0.last) }))
        case .lastSuccessful:
            CountedExecutions(
                countsAll: false, ofTask: lastSuccessfulExecutions().mapValues { executions[$0].id })
        }
    }
}

extension ContributionTable {
    /// Returns the units on this indicator; nil if there are none.
    ///
    /// Costs a binary search.
    func units(on indicator: IndicatorID) -> Units? {
        let index = entries.partitioningIndex { $0.indicator >= indicator }
        return index < entries.count && entries[index].indicator == indicator ? entries[index].units : nil
    }
}

extension IndicatorState {
    /// Returns the same state for a policy that counts `units`.
    ///
    /// The attempted units beyond them are wasted work.
    fileprivate func counting(_ units: Units) -> IndicatorState {
        var state = self
        state.counted = units
        state.superseded = attempted - units
        return state
    }
}
