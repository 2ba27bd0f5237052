extension Fold {
    /// The indices of the parts that changed since the last call of `takeChanges()`.
    struct DirtySet: Sendable {
        var tasks: Set<Int> = []
        var executions: Set<Int> = []
        var indicators: Set<Int> = []
        var pages: [ReportPage.Key: ReportPage] = [:]
        var discards: [Discard] = []
    }

    mutating func touchTask(_ index: Int) {
        if tracksChanges { dirty.tasks.insert(index) }
    }

    mutating func touchExecution(_ index: Int) {
        if tracksChanges { dirty.executions.insert(index) }
    }

    mutating func touchIndicator(_ index: Int) {
        if tracksChanges { dirty.indicators.insert(index) }
    }

    /// The number of parts that ``takeChanges()`` would return.
    public var changeCount: Int {
        dirty.tasks.count + dirty.executions.count + dirty.indicators.count + dirty.pages.count
            + dirty.discards.count
    }

    /// The number of executions in memory.
    public var executionCount: Int { executions.count }

    /// Returns all changes since the last call, to be stored in one transaction.
    ///
    /// Costs time in proportion to the number of changes.
    ///
    /// - Throws: ``FoldStateError`` if a changed indicator does not account for every received unit. The state that the
    ///   fold was restored from was then damaged, and nothing may be stored.
    public mutating func takeChanges() throws(FoldStateError) -> FoldChanges {
        precondition(tracksChanges, "a fold without change tracking has no changes to store")
        let changedIndicators = dirty.indicators.map { indicators[$0] }.sorted { $0.id < $1.id }
        try Self.checkConserved(changedIndicators)
        let changes = FoldChanges(
            progress: progress,
            tasks: dirty.tasks.map { tasks[$0] }.sorted { $0.id < $1.id },
            executions: dirty.executions.map { executions[$0] }.sorted { $0.id < $1.id },
            indicators: changedIndicators,
            pages: dirty.pages.sorted { $0.key < $1.key }.map { (key: $0.key, appended: $0.value) },
            discards: dirty.discards)
        dirty = DirtySet()
        return changes
    }

    private static func checkConserved(_ indicators: [IndicatorState]) throws(FoldStateError) {
        for indicator in indicators where !indicator.isConserved {
            throw FoldStateError(
                "indicator \(indicator.id.sequence): received \(indicator.received) is not counted + superseded + discarded"
            )
        }
    }

    /// Returns the complete state of a fold that began with the first event.
    ///
    /// It does not need change tracking, which would only find, at some cost, that everything has changed.
    ///
    /// - Precondition: Nothing was restored and no changes were taken.
    /// - Throws: ``FoldStateError`` if an indicator does not account for every received unit.
    public func allState() throws(FoldStateError) -> FoldChanges {
        // Tasks, executions and indicators are in the order of the events that created them.
        try Self.checkConserved(indicators)
        return FoldChanges(
            progress: progress, tasks: tasks, executions: executions, indicators: indicators,
            pages: pages.sorted { $0.key < $1.key }.map { (key: $0.key, appended: $0.value) },
            discards: dirty.discards)
    }

    /// The approximate memory of the whole fold in bytes, by measurement.
    public var memoryEstimate: Int {
        Self.memoryEstimate(tasks: tasks.count, executions: executions.count) + contributionCount * 64
            + memoryEstimateWithoutExecutions
    }

    /// The same estimate without tasks and executions.
    var memoryEstimateWithoutExecutions: Int {
        pages.count * 160 + archivedCount * 16 + dirty.discards.count * 128 + indicators.count * 384 + noteBytes
    }

    /// The same estimate with the report numbers of the executions.
    ///
    /// It contains the parts of the state of estimates that belong to the contributions.
    public var memoryEstimateWithReports: Int { memoryEstimate + reportCount * 40 + contributionCount * 32 }

    /// The same estimate for tasks and executions that have not reported anything yet.
    public static func memoryEstimate(tasks: Int, executions: Int) -> Int { tasks * 224 + executions * 384 }
}
