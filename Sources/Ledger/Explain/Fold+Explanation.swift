extension Fold {
    /// Where each unit of an indicator went, by this policy: a page of at most `limit` executions after the cursor.
    ///
    /// Only a fold that holds all of its job, and whose changes were never taken, can tell. Costs a pass over the job's
    /// executions and discarded events.
    ///
    /// - Returns: nil where no event has named the indicator.
    public func explanation(
        of label: Name?, counting policy: CountingPolicy, limit: Int, after cursor: Explanation.Cursor? = nil
    ) -> Explanation? {
        guard let indicator = indicatorState(of: label) else { return nil }
        let counted = countedExecutions(policy)
        let taskNames = Dictionary(uniqueKeysWithValues: tasks.map { ($0.sequence, $0.name) })
        var discarded: [Int64: Units] = [:]
        for discard in touched.discards where discard.indicator == indicator.sequence {
            discarded[discard.execution, default: .zero] += discard.units
        }
        var units = Units.zero
        var entries: [(place: Explanation.Cursor, entry: Explanation.Entry)] = []
        for execution in executions {
            let reported = execution.contributions.units(on: indicator.sequence)
            guard reported != nil || discarded[execution.sequence] != nil else { continue }
            let winner = counted.execution(of: execution)
            let isCounted = winner == nil ? counted.countsAll : winner == execution.sequence
            if isCounted { units += reported ?? .zero }
            let place = Explanation.Cursor(
                task: execution.task, attempt: execution.attempt, execution: execution.sequence)
            if let cursor, place <= cursor { continue }
            let successor = policy == .last ? execution.supersededBy : isCounted ? nil : winner
            entries.append(
                (
                    place,
                    Explanation.Entry(
                        task: taskNames[execution.task] ?? "", execution: execution.identity,
                        reported: reported ?? .zero, discarded: discarded[execution.sequence] ?? .zero,
                        isCounted: isCounted, supersededBy: successor.flatMap { self.execution($0)?.identity })
                ))
        }
        entries.sort { $0.place < $1.place }
        return Explanation(
            sequence: progress.sequence, indicator: indicator.counting(units),
            entries: entries.prefix(limit).map(\.entry),
            nextCursor: entries.count > limit ? entries[limit - 1].place : nil)
    }

    /// Which execution of each task counts.
    private struct CountedExecutions {
        let countsAll: Bool
        /// By the sequence that tells the task, the one that tells the execution.
        let ofTask: [Int64: Int64]

        func execution(of execution: Execution) -> Int64? { ofTask[execution.task] }
    }

    private func countedExecutions(_ policy: CountingPolicy) -> CountedExecutions {
        switch policy {
        case .all: CountedExecutions(countsAll: true, ofTask: [:])
        case .last:
            CountedExecutions(
                countsAll: false, ofTask: Dictionary(uniqueKeysWithValues: tasks.map { ($0.sequence, $0.last) }))
        case .lastSuccessful:
            CountedExecutions(
                countsAll: false, ofTask: lastSuccessfulExecutions().mapValues { executions[$0].sequence })
        }
    }
}

extension ContributionTable {
    /// The units reported on this indicator; nil where no event names it. Costs a binary search.
    func units(on indicator: Int64) -> Units? {
        let index = entries.partitioningIndex { $0.indicator >= indicator }
        return index < entries.count && entries[index].indicator == indicator ? entries[index].units : nil
    }
}

extension IndicatorState {
    /// The same by a policy by which so much counts: what was attempted and does not count is done for nothing.
    fileprivate func counting(_ units: Units) -> IndicatorState {
        var state = self
        state.counted = units
        state.superseded = attempted - units
        return state
    }
}
