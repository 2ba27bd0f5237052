/// The parts of a job that a fold needs for these events and does not have.
///
/// They must be restored before the events are folded. Keys of parts that do not exist yet are among them.
public struct FoldKeys: Sendable {
    /// An execution, identified by its task and name.
    public struct NamedExecution: Hashable, Sendable {
        public let task: Name
        public let name: Name
    }

    /// The first execution of an attempt.
    public struct AttemptedExecution: Hashable, Sendable {
        public let task: Name
        public let attempt: Int32
    }

    /// The tasks, each with its last execution.
    public private(set) var tasks: Set<Name> = []
    /// The executions that the events name.
    public private(set) var namedExecutions: Set<NamedExecution> = []
    /// The executions that the events identify by an attempt alone.
    public private(set) var attemptedExecutions: Set<AttemptedExecution> = []
    /// The indicators; nil is the default one.
    public private(set) var labels: Set<Name?> = []

    /// Whether nothing must be restored.
    public var isEmpty: Bool { tasks.isEmpty && labels.isEmpty }

    /// Collects the keys of these events that the fold does not have.
    ///
    /// Costs a pass over the events; nothing for a fold that has the whole job.
    public init(of events: some Sequence<Event>, missingIn fold: Fold) {
        guard !fold.isComplete else { return }
        for event in events {
            guard let reference = event.body.reference else { continue }
            if let name = reference.execution {
                if fold.executionIndex(of: reference) == nil {
                    tasks.insert(reference.task)
                    namedExecutions.insert(NamedExecution(task: reference.task, name: name))
                }
            } else {
                // The fold may have a later execution of the attempt without the first one.
                tasks.insert(reference.task)
                attemptedExecutions.insert(
                    AttemptedExecution(task: reference.task, attempt: reference.attempt ?? 1))
            }
            if case .progress(let progress) = event.body, !fold.hasIndicator(labelled: progress.label) {
                labels.insert(progress.label)
            }
        }
    }
}

/// The further parts that a fold needs, which depend on the restored executions.
public struct DependentFoldKeys: Sendable {
    /// The indicators on which these events may supersede or end an execution.
    public var indicators: Set<IndicatorID> = []
    /// The pages that may contain a report number of these events.
    public var pages: Set<ReportPage.Key> = []

    /// Whether nothing more is needed, which is usual.
    public var isEmpty: Bool { indicators.isEmpty && pages.isEmpty }
}

extension Fold {
    /// Returns the keys that these events need beyond the restored ``FoldKeys``.
    ///
    /// Costs a pass over the events and over the labels of executions that may be superseded or that end.
    public func dependentKeys(of events: some Sequence<Event>) -> DependentFoldKeys {
        var keys = DependentFoldKeys()
        var tasksSeen: Set<Int> = []
        for event in events {
            guard let reference = event.body.reference, let task = taskIndices[reference.task] else { continue }
            guard let execution = executionIndex(of: reference) else {
                // The event begins an execution, which may supersede the last one.
                if tasksSeen.insert(task).inserted {
                    guard let last = executionIndices[tasks[task].last] else {
                        preconditionFailure("the last execution of a known task is restored with it")
                    }
                    addIndicators(of: last, to: &keys)
                }
                continue
            }
            // An execution that ends is a sample of the time that its labels take.
            if event.body.type == .executionFinished { addIndicators(of: execution, to: &keys) }
            guard case .progress(let progress) = event.body, let report = progress.report else { continue }
            if progress.part != nil || executions[execution].reports.mayBeArchived(report) {
                let key = ReportPage.Key(
                    execution: executions[execution].id, part: progress.part, report: report)
                if pages[key] == nil { keys.pages.insert(key) }
            }
        }
        return keys
    }

    private func addIndicators(of execution: Int, to keys: inout DependentFoldKeys) {
        for entry in executions[execution].contributions.entries where indicatorIndices[entry.indicator] == nil {
            keys.indicators.insert(entry.indicator)
        }
    }
}
