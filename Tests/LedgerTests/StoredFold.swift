import Ledger

/// A fold that is stored after every batch and restored before the next one.
///
/// Each batch restores only the keys that it needs, as from database tables.
struct StoredFold {
    private(set) var progress = JobProgress()
    private var tasks: [Name: JobTask] = [:]
    private var executions: [Int64: Execution] = [:]
    private(set) var encodedStates: [Int64: [UInt8]] = [:]
    private var indicators: [Int64: IndicatorState] = [:]
    private var pages: [ReportPage.Key: [UInt8]] = [:]

    mutating func fold(_ events: [Event]) throws {
        var fold = Fold(progress)
        try restore(FoldKeys(of: events), into: &fold)
        let further = fold.dependentKeys(of: events)
        for sequence in further.indicators { if let found = indicators[sequence] { fold.restore(found) } }
        for key in further.pages { if let bytes = pages[key] { fold.restore(ReportPage(bytes: bytes), at: key) } }
        for event in events { try fold.apply(event) }
        store(try fold.takeChanges())
    }

    private func restore(_ keys: FoldKeys, into fold: inout Fold) throws {
        for name in keys.tasks {
            guard let task = tasks[name] else { continue }
            fold.restore(task)
            try restore(task.last, into: &fold)
        }
        for key in keys.namedExecutions {
            let found = executions.values.first { $0.task == tasks[key.task]?.sequence && $0.name == key.name }
            if let found { try restore(found.sequence, into: &fold) }
        }
        for key in keys.attemptedExecutions {
            let found = executions.values
                .filter { $0.task == tasks[key.task]?.sequence && $0.attempt == key.attempt }
                .min { $0.sequence < $1.sequence }
            if let found { try restore(found.sequence, into: &fold) }
        }
        for label in keys.labels {
            if let found = indicators.values.first(where: { $0.label == label }) { fold.restore(found) }
        }
    }

    private func restore(_ sequence: Int64, into fold: inout Fold) throws {
        guard var execution = executions[sequence], let bytes = encodedStates[sequence] else { return }
        (execution.contributions, execution.reports) = try Execution.decodeState(bytes)
        fold.restore(execution)
    }

    private mutating func store(_ changes: FoldChanges) {
        progress = changes.progress
        for task in changes.tasks { tasks[task.name] = task }
        for execution in changes.executions {
            executions[execution.sequence] = execution
            encodedStates[execution.sequence] = execution.encodedState
        }
        for indicator in changes.indicators { indicators[indicator.sequence] = indicator }
        for (key, appended) in changes.pages { pages[key, default: []] += appended.bytes }
    }

    var isConserved: Bool { indicators.values.allSatisfy(\.isConserved) }
    var sortedTasks: [JobTask] { tasks.values.sorted { $0.sequence < $1.sequence } }
    var sortedExecutions: [Execution] { executions.values.sorted { $0.sequence < $1.sequence } }
    var sortedIndicators: [IndicatorState] { indicators.values.sorted { $0.sequence < $1.sequence } }
}
