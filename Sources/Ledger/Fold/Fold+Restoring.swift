extension Fold {
    /// Restores a task.
    ///
    /// Its last execution must also be restored before the next event is folded.
    public mutating func restore(_ task: JobTask) {
        guard taskIndices[task.name] == nil else { return }
        insert(task)
    }

    /// Restores an execution.
    ///
    /// Its task must also be restored before the next event is folded.
    public mutating func restore(_ execution: Execution) {
        guard executionIndices[execution.id] == nil else { return }
        _ = insert(execution)
    }

    /// Restores an indicator.
    public mutating func restore(_ indicator: IndicatorState) {
        guard indicatorIndices[indicator.id] == nil else { return }
        _ = insert(indicator)
    }

    /// Restores a page of report numbers.
    public mutating func restore(_ page: ReportPage, at key: ReportPage.Key) {
        if pages.updateValue(page, forKey: key) == nil { countNote(key.part) }
    }

    /// Removes the pages of report numbers.
    ///
    /// A page in memory may lack entries that are stored, because entries are added without reading the page. The pages
    /// that the fold needs to continue must be restored again.
    public mutating func removePages() {
        for key in pages.keys { countNote(nil, replacing: key.part) }
        pages = [:]
        archivedCount = 0
    }

    mutating func insert(_ task: JobTask) {
        taskIndices[task.name] = tasks.count
        append(task)
    }

    /// Adds a task with a known position.
    mutating func append(_ task: JobTask) {
        tasks.append(task)
        recentExecutions.append(-1)
    }

    mutating func insert(_ execution: Execution) -> Int {
        let index = executions.count
        append(execution)
        executionIndices[execution.id] = index
        if let name = execution.name {
            namedExecutions[NamedKey(task: execution.task, name: name)] = index
        }
        // An attempt without a name refers to the first execution with that attempt.
        let key = AttemptKey(task: execution.task, attempt: execution.attempt)
        if let first = attemptedExecutions[key], executions[first].id < execution.id { return index }
        attemptedExecutions[key] = index
        return index
    }

    /// Adds an execution with a known position.
    mutating func append(_ execution: Execution) {
        contributionCount += execution.contributions.entries.count
        reportCount += execution.reports.recent.count
        executions.append(execution)
    }

    mutating func insert(_ indicator: IndicatorState) -> Int {
        let index = indicators.count
        indicators.append(indicator)
        indicatorIndices[indicator.id] = index
        labelledIndicators[indicator.label] = index
        countNote(indicator.unit)
        countNote(indicator.message)
        return index
    }
}
