/// What a fold must have restored of a job before it can fold these events, as far as the events alone tell.
public struct FoldKeys: Sendable {
    /// An execution by its name.
    public struct NamedExecution: Hashable, Sendable {
        public let task: Name
        public let name: Name
    }

    /// The first known execution of an attempt.
    public struct AttemptedExecution: Hashable, Sendable {
        public let task: Name
        public let attempt: Int32
    }

    /// Tasks, each with its last execution.
    public private(set) var tasks: Set<Name> = []
    /// Executions that are named.
    public private(set) var namedExecutions: Set<NamedExecution> = []
    /// Executions that only an attempt tells: the first known one that has it.
    public private(set) var attemptedExecutions: Set<AttemptedExecution> = []
    /// Indicators; nil is the default one.
    public private(set) var labels: Set<Name?> = []

    /// What these events need. Costs a pass over them.
    public init(of events: some Sequence<Event>) {
        for event in events {
            guard let reference = event.body.reference else { continue }
            tasks.insert(reference.task)
            if let name = reference.execution {
                namedExecutions.insert(NamedExecution(task: reference.task, name: name))
            } else {
                attemptedExecutions.insert(
                    AttemptedExecution(task: reference.task, attempt: reference.attempt ?? 1))
            }
            if case .progress(let progress) = event.body { labels.insert(progress.label) }
        }
    }
}

/// What a fold must have restored besides, as only the executions it has restored tell.
public struct DependentFoldKeys: Sendable {
    /// Indicators that an execution counts on which these events may supersede, by sequence.
    public var indicators: Set<Int64> = []
    /// Pages that may hold a report number of these events.
    public var pages: Set<ReportPage.Key> = []

    /// Whether nothing more is needed, as is usual.
    public var isEmpty: Bool { indicators.isEmpty && pages.isEmpty }
}

extension Fold {
    /// What these events need beyond ``FoldKeys``, which has been restored. Costs a pass over the events and over
    /// the labels of executions that may be superseded.
    public func dependentKeys(of events: some Sequence<Event>) -> DependentFoldKeys {
        var needs = DependentFoldKeys()
        var tasksSeen: Set<Int> = []
        for event in events {
            guard let reference = event.body.reference, let task = taskIndices[reference.task] else { continue }
            guard let known = executionIndex(of: reference) else {
                // It begins an execution, which may take the place of the last one.
                if tasksSeen.insert(task).inserted { addIndicators(ofLastExecutionOf: task, to: &needs) }
                continue
            }
            guard case .progress(let progress) = event.body, let report = progress.report else { continue }
            if executions[known].reports.mayBeArchived(report) {
                let key = ReportPage.Key(execution: executions[known].sequence, report: report)
                if pages[key] == nil { needs.pages.insert(key) }
            }
        }
        return needs
    }

    private func addIndicators(ofLastExecutionOf task: Int, to needs: inout DependentFoldKeys) {
        guard let last = executionIndices[tasks[task].last] else {
            preconditionFailure("the last execution of a known task is restored with it")
        }
        for entry in executions[last].contributions.entries where indicatorIndices[entry.indicator] == nil {
            needs.indicators.insert(entry.indicator)
        }
    }
}
