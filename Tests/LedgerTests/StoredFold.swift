import Ledger

/// A fold and its state of estimates, stored after every batch.
///
/// Each batch restores only the keys that it needs, as from database tables.
struct StoredFold {
    private(set) var progress = JobProgress()
    private var tasks: [Name: JobTask] = [:]
    private var executions: [ExecutionID: Execution] = [:]
    private(set) var encodedStates: [ExecutionID: [UInt8]] = [:]
    private var indicators: [IndicatorID: IndicatorState] = [:]
    private var pages: [ReportPage.Key: [UInt8]] = [:]
    private var estimate = EstimateState().encoded
    private var patterns: [IndicatorID: [UInt8]] = [:]
    private var work: [ExecutionID: [UInt8]] = [:]

    /// The state of the last batch in memory.
    private var recent: (fold: Fold, state: EstimateState)?

    /// - Parameter keepsState: Whether the fold of the last batch is continued; else it begins from the stored state.
    mutating func fold(_ events: [Event], keepsState: Bool = false) throws {
        var (fold, state) = (Fold(progress), try EstimateState(encoded: estimate))
        if keepsState, let recent { (fold, state) = recent }
        try restore(FoldKeys(of: events, missingIn: fold), into: &fold, &state)
        let further = fold.dependentKeys(of: events)
        for id in further.indicators { try restore(id, into: &fold, &state) }
        for key in further.pages { if let bytes = pages[key] { fold.restore(ReportPage(bytes: bytes), at: key) } }
        for event in events { try state.apply(event, to: &fold) }
        store(try fold.takeChanges(), state)
        fold.removePages()
        recent = (fold, state)
    }

    private func restore(_ keys: FoldKeys, into fold: inout Fold, _ state: inout EstimateState) throws {
        for name in keys.tasks {
            guard let task = tasks[name] else { continue }
            fold.restore(task)
            try restore(task.last, into: &fold, &state)
        }
        for key in keys.namedExecutions {
            let found = executions.values.first { $0.task == tasks[key.task]?.id && $0.name == key.name }
            if let found { try restore(found.id, into: &fold, &state) }
        }
        for key in keys.attemptedExecutions {
            let found = executions.values
                .filter { $0.task == tasks[key.task]?.id && $0.attempt == key.attempt }
                .min { $0.id < $1.id }
            if let found { try restore(found.id, into: &fold, &state) }
        }
        for label in keys.labels {
            if let found = indicators.values.first(where: { $0.label == label }) {
                try restore(found.id, into: &fold, &state)
            }
        }
    }

    private func restore(_ id: IndicatorID, into fold: inout Fold, _ state: inout EstimateState) throws {
        guard let found = indicators[id] else { return }
        fold.restore(found)
        if let bytes = patterns[id] { try state.restore(patterns: bytes) }
    }

    private func restore(_ id: ExecutionID, into fold: inout Fold, _ state: inout EstimateState) throws {
        guard var execution = executions[id], let bytes = encodedStates[id] else { return }
        (execution.contributions, execution.reports) = try Execution.decodeState(bytes)
        fold.restore(execution)
        if let bytes = work[id] { try state.restore(work: bytes) }
    }

    private mutating func store(_ changes: FoldChanges, _ state: EstimateState) {
        progress = changes.progress
        estimate = state.encoded
        for task in changes.tasks { tasks[task.name] = task }
        for execution in changes.executions {
            executions[execution.id] = execution
            encodedStates[execution.id] = execution.encodedState
            work[execution.id] = state.encodedWork(of: execution.id)
        }
        for indicator in changes.indicators {
            indicators[indicator.id] = indicator
            patterns[indicator.id] = state.encodedPattern(of: indicator.id)
        }
        for (key, appended) in changes.pages { pages[key, default: []] += appended.bytes }
    }

    /// The whole state of estimates, from all its parts.
    func estimateState() throws -> EstimateState {
        var state = try EstimateState(encoded: estimate)
        for bytes in patterns.values { try state.restore(patterns: bytes) }
        for bytes in work.values { try state.restore(work: bytes) }
        return state
    }

    var isConserved: Bool { indicators.values.allSatisfy(\.isConserved) }
    var sortedTasks: [JobTask] { tasks.values.sorted { $0.id < $1.id } }
    var sortedExecutions: [Execution] { executions.values.sorted { $0.id < $1.id } }
    var sortedIndicators: [IndicatorState] { indicators.values.sorted { $0.id < $1.id } }
}
