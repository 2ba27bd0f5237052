/// The fold of a job: computes its state from its events 1…n.
///
/// It is deterministic, without clock and randomness. It has the same result event by event, in batches of any size,
/// resumed from a stored state, or from the beginning (semantics, section 4).
///
/// A fold may contain a whole job, or only the part that the next events affect. The cost of a batch then depends on
/// its events and not on the size of the job. To continue a stored fold: create it with the stored ``JobProgress``,
/// restore the keys of ``FoldKeys``, then those of ``dependentKeys(of:)``, apply the events, and store
/// ``takeChanges()``. To the fold, parts that were not restored do not exist. Instead of a stored fold, the same one in
/// memory can be continued after ``removePages()``.
public struct Fold: Sendable {
    /// The version of the rules that the fold implements.
    ///
    /// It is stored with each projection. It must be increased if any event can get another verdict, or any number
    /// another value, than before. Workers leave projections of other versions alone, except those that
    /// ``continuedVersions`` contains; an applied replay rebuilds those of older ones.
    ///
    /// Version 2 folds messages, units, parts and carried units.
    public static let version: Int16 = 2
    /// The versions of stored states that this fold continues as its own.
    ///
    /// The states of version 1 are the same, because the events that it has folded had none of the fields that it does
    /// not know.
    public static let continuedVersions: ClosedRange<Int16> = 1...version

    /// The state of the job as a whole.
    public internal(set) var progress: JobProgress

    var tasks: [JobTask] = []
    var taskIndices = PositionIndex<Name>()
    /// Each task's most recently started execution in this fold; -1 if none.
    ///
    /// Most events belong to it, and comparing a name costs less than looking it up.
    var recentExecutions: [Int] = []
    var executions: [Execution] = []
    var executionIndices = PositionIndex<ExecutionID>()
    var namedExecutions = PositionIndex<NamedKey>()
    var attemptedExecutions = PositionIndex<AttemptKey>()
    var indicators: [IndicatorState] = []
    var indicatorIndices: [IndicatorID: Int] = [:]
    var labelledIndicators: [Name?: Int] = [:]
    var pages: [ReportPage.Key: ReportPage] = [:]
    var dirty = DirtySet()
    /// The number of contributions of all executions, for ``memoryEstimate``.
    ///
    /// An execution may have a thousand labels, or one.
    var contributionCount = 0
    /// The number of report numbers with the executions.
    ///
    /// It is for ``memoryEstimateWithReports``.
    var reportCount = 0
    var archivedCount = 0
    /// The UTF-8 length of the notes in memory, for ``memoryEstimate``.
    ///
    /// They are messages, units and parts.
    ///
    /// A message alone may be longer than the rest of its indicator.
    private(set) var noteBytes = 0
    /// Whether changes are tracked for ``takeChanges()``.
    let tracksChanges: Bool
    /// Whether the fold has all tasks, executions and indicators of the job.
    ///
    /// It does if it began with the job, whose first event creates none of them.
    let isComplete: Bool

    private static let comparedIndicatorsMax = 6

    struct NamedKey: Hashable, Sendable {
        let task: TaskID
        let name: Name
    }

    struct AttemptKey: Hashable, Sendable {
        let task: TaskID
        let attempt: Int32
    }

    /// Creates a fold that begins with the first event or continues a stored one.
    ///
    /// - Parameter tracksChanges: Whether ``takeChanges()`` will be called. A fold that is only read need not track
    ///   changes.
    public init(_ progress: JobProgress = JobProgress(), tracksChanges: Bool = true) {
        self.init(progress, tracksChanges: tracksChanges, isComplete: progress.sequence <= 1)
    }

    init(_ progress: JobProgress, tracksChanges: Bool, isComplete: Bool) {
        self.progress = progress
        self.tracksChanges = tracksChanges
        self.isComplete = isComplete
        countNote(progress.message)
    }

    /// The fold's decision on one event.
    public struct Decision: Hashable, Sendable {
        /// The verdict on arrival.
        public let verdict: Verdict
        /// Its execution; nil for events of the job itself.
        public let execution: ExecutionID?
        /// Its indicator; nil unless it is a progress event.
        public let indicator: IndicatorID?
        /// The earlier event with the same report number.
        public let duplicateOf: EventSequence?
        /// The execution that this event superseded.
        public let superseded: ExecutionID?

        init(
            verdict: Verdict, execution: ExecutionID? = nil, indicator: IndicatorID? = nil,
            duplicateOf: EventSequence? = nil,
            superseded: ExecutionID? = nil
        ) {
            self.verdict = verdict
            self.execution = execution
            self.indicator = indicator
            self.duplicateOf = duplicateOf
            self.superseded = superseded
        }
    }

    /// Folds the next event.
    ///
    /// - Precondition: Its sequence is the one after the last.
    /// - Throws: ``FoldStateError`` if a restored part cannot be decoded. The fold must not be used afterwards.
    @discardableResult
    public mutating func apply(_ event: Event) throws(FoldStateError) -> Decision {
        precondition(event.sequence == progress.sequence + 1, "events must be folded in sequence, without gaps")
        progress.sequence = event.sequence
        progress.updatedAt = event.recordedAt
        switch event.body {
        case .jobCreated:
            progress.createdAt = event.recordedAt
            return Decision(verdict: .counted)
        case .jobFinished(let outcome):
            progress.state = JobState(outcome)
            progress.finishedAt = event.recordedAt
            if let message = event.message { setMessage(message) }
            return Decision(verdict: .counted)
        case .executionStarted(let reference):
            return try apply(event, of: reference, .start)
        case .executionFinished(let reference, let outcome):
            return try apply(event, of: reference, .finish(outcome))
        case .progress(let report):
            let indicator = indicatorIndex(of: report.label, namedBy: event)
            let contribution = Delta(report, indicator: indicators[indicator].id, at: event.sequence)
            indicators[indicator].received += contribution.units
            if let unit = report.unit, indicators[indicator].unit == nil {
                indicators[indicator].unit = unit
                countNote(unit)
            }
            touchIndicator(indicator)
            return try apply(event, of: report.reference, .progress(contribution, indicatorIndex: indicator))
        }
    }

    /// The effect of an event on its execution.
    private enum Effect {
        case start
        case progress(Delta, indicatorIndex: Int)
        case finish(ExecutionOutcome)
    }

    /// The units and the report number of a progress event.
    private struct Delta {
        let entry: ReportNumbers.Entry
        let isNumbered: Bool
        /// The part that numbered the report.
        let part: Name?
        let carried: Int64
        var units: Units { Units(total: Int128(entry.total), done: Int128(entry.done)) }

        init(_ progress: ProgressReport, indicator: IndicatorID, at sequence: EventSequence) {
            entry = ReportNumbers.Entry(
                report: progress.report ?? 0, sequence: sequence, indicator: indicator, total: progress.total ?? 0,
                done: progress.done ?? 0)
            isNumbered = progress.report != nil
            part = progress.part
            carried = progress.carried ?? 0
        }
    }

    private mutating func apply(
        _ event: Event, of reference: ExecutionReference, _ effect: Effect
    ) throws(FoldStateError) -> Decision {
        let existing = executionIndex(of: reference)
        if let existing, let discard = try discard(reference, effect, by: existing) {
            return discardEvent(event, effect, of: existing, as: discard.verdict, duplicateOf: discard.duplicateOf)
        }
        let last = existing == nil ? lastExecution(of: reference.task) : nil
        let index = existing ?? beginExecution(reference, with: event)
        executions[index].lastSequence = event.sequence
        executions[index].lastAt = event.recordedAt
        touchExecution(index)
        switch effect {
        case .start: break
        case .finish(let outcome): finish(index, of: reference.task, as: outcome)
        case .progress(let contribution, let indicator): add(contribution, indicator, to: index, at: event.recordedAt)
        }
        if event.message != nil || event.link != nil { addNotes(of: event, effect, to: index) }
        let indicator: IndicatorID? =
            if case .progress(let contribution, _) = effect { contribution.entry.indicator } else { nil }
        return Decision(
            verdict: executions[index].isLast ? .counted : .superseded, execution: executions[index].id,
            indicator: indicator, superseded: executions[index].isLast ? last : nil)
    }

    /// Keeps the newest message and link.
    private mutating func addNotes(of event: Event, _ effect: Effect, to index: Int) {
        if event.link != nil { executions[index].linkSequence = event.sequence }
        guard let message = event.message else { return }
        executions[index].messageSequence = event.sequence
        guard executions[index].isLast else { return }
        setMessage(message)
        guard case .progress(_, let indicator) = effect else { return }
        countNote(message, replacing: indicators[indicator].message)
        indicators[indicator].message = message
    }

    private mutating func setMessage(_ message: Name) {
        countNote(message, replacing: progress.message)
        progress.message = message
    }

    /// Counts the memory of a message, a unit or a part.
    mutating func countNote(_ note: Name?, replacing old: Name? = nil) {
        noteBytes += (note?.text.utf8.count ?? 0) - (old?.text.utf8.count ?? 0)
    }

    // MARK: Discarding

    /// Applies verdict rules 1 to 3 to an event of an existing execution.
    ///
    /// - Returns: The verdict if the event is discarded; otherwise nil.
    private func discard(
        _ reference: ExecutionReference, _ effect: Effect, by index: Int
    ) throws(FoldStateError) -> (verdict: Verdict, duplicateOf: EventSequence?)? {
        if let attempt = reference.attempt, attempt != executions[index].attempt {
            return (.conflict, nil)
        }
        guard case .progress(let contribution, _) = effect else { return nil }
        if contribution.isNumbered,
            let earlier = try report(contribution.entry.report, of: contribution.part, by: index)
        {
            return (contribution.entry.hasSameContent(as: earlier) ? .duplicate : .conflict, earlier.sequence)
        }
        if executions[index].contributions.entries.count >= Limits.labelsPerExecutionMax,
            !executions[index].contributions.contains(contribution.entry.indicator)
        {
            return (.overLimit, nil)
        }
        return nil
    }

    private func report(
        _ number: Int64, of part: Name?, by index: Int
    ) throws(FoldStateError) -> ReportNumbers.Entry? {
        if part == nil {
            if let entry = executions[index].reports.recentEntry(of: number) { return entry }
            guard number <= executions[index].reports.archivedMax else { return nil }
        }
        let key = ReportPage.Key(execution: executions[index].id, part: part, report: number)
        return try pages[key]?.entry(of: number)
    }

    private mutating func discardEvent(
        _ event: Event, _ effect: Effect, of index: Int, as verdict: Verdict, duplicateOf: EventSequence?
    ) -> Decision {
        executions[index].lastSequence = event.sequence
        executions[index].lastAt = event.recordedAt
        touchExecution(index)
        var indicator: IndicatorID?
        var units = Units.zero
        if case .progress(let contribution, let indicatorIndex) = effect {
            indicators[indicatorIndex].discarded += contribution.units
            indicator = contribution.entry.indicator
            units = contribution.units
        }
        dirty.discards.append(
            Discard(
                sequence: event.sequence, verdict: verdict, execution: executions[index].id,
                indicator: indicator, units: units, duplicateOf: duplicateOf))
        return Decision(
            verdict: verdict, execution: executions[index].id, indicator: indicator, duplicateOf: duplicateOf)
    }

    // MARK: Executions

    /// Returns the existing execution of a reference (semantics, section 3).
    ///
    /// Nil if the reference begins a new execution.
    func executionIndex(of reference: ExecutionReference) -> Int? {
        guard let task = taskIndices[reference.task] else { return nil }
        if let name = reference.execution {
            let recent = recentExecutions[task]
            if recent >= 0, executions[recent].name == name { return recent }
            return namedExecutions[NamedKey(task: tasks[task].id, name: name)]
        }
        return attemptedExecutions[AttemptKey(task: tasks[task].id, attempt: reference.attempt ?? 1)]
    }

    /// The last execution of a task; nil if it has none yet.
    private func lastExecution(of task: Name) -> ExecutionID? { taskIndices[task].map { tasks[$0].last } }

    /// Sets the job's state to running: a new last execution reopens a finished job.
    mutating func reopen() {
        progress.state = .running
        progress.finishedAt = nil
    }

    private mutating func finish(_ index: Int, of task: Name, as outcome: ExecutionOutcome) {
        executions[index].outcome = outcome
        guard executions[index].isLast else { return }
        guard let task = taskIndices[task] else {
            preconditionFailure("the task of an event is restored before the event is folded")
        }
        touchTask(task)
        setState(of: task, to: TaskState(outcome))
    }

    mutating func setState(of task: Int, to state: TaskState) {
        progress.tasks[tasks[task].state] -= 1
        tasks[task].state = state
        progress.tasks[state] += 1
    }

    // MARK: Indicators

    private mutating func add(_ contribution: Delta, _ indicator: Int, to index: Int, at moment: Timestamp) {
        if executions[index].contributions.add(contribution.units, to: contribution.entry.indicator) {
            contributionCount += 1
        }
        if contribution.isNumbered {
            if contribution.part != nil {
                archive(contribution.entry, of: contribution.part, by: index)
            } else {
                let archived = executions[index].reports.insert(contribution.entry)
                reportCount += 1 - archived.count
                for entry in archived { archive(entry, by: index) }
            }
        }
        if contribution.carried > 0 { indicators[indicator].carried += Int128(contribution.carried) }
        if executions[index].isLast {
            indicators[indicator].counted += contribution.units
            indicators[indicator].countedEvents += 1
            indicators[indicator].updatedAt = moment
        } else {
            indicators[indicator].superseded += contribution.units
            indicators[indicator].supersededEvents += 1
        }
    }

    /// Adds a report to its page.
    private mutating func archive(_ entry: ReportNumbers.Entry, of part: Name? = nil, by index: Int) {
        let key = ReportPage.Key(execution: executions[index].id, part: part, report: entry.report)
        archivedCount += 1
        if part != nil, pages[key] == nil { countNote(part) }
        pages[key, default: ReportPage()].append(entry)
        if tracksChanges { dirty.pages[key, default: ReportPage()].append(entry) }
    }

    /// Returns the indicator of this label, which this event creates if there is none.
    ///
    /// The first event that names an indicator fixes its position, even if the event is discarded.
    private mutating func indicatorIndex(of label: Name?, namedBy event: Event) -> Int {
        existingIndicatorIndex(of: label)
            ?? insert(IndicatorState(id: IndicatorID(event.sequence), label: label, updatedAt: event.recordedAt))
    }

    private func existingIndicatorIndex(of label: Name?) -> Int? {
        // Most jobs have few indicators; comparing their labels costs less than a dictionary lookup.
        for index in 0..<min(indicators.count, Self.comparedIndicatorsMax) where indicators[index].label == label {
            return index
        }
        return indicators.count > Self.comparedIndicatorsMax ? labelledIndicators[label] : nil
    }

    /// Whether the fold has the indicator of this label.
    func hasIndicator(labelled label: Name?) -> Bool { existingIndicatorIndex(of: label) != nil }
}
