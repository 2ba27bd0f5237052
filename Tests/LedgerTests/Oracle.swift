import Ledger

/// A second implementation of the semantics, for comparison with the fold.
///
/// It follows sections 3 and 4 of the semantics directly, over the whole list of events, without regard to speed. The
/// fold must agree with it on every history.
struct Oracle {
    struct Execution: Equatable {
        let first: EventSequence
        let task: Name
        let name: Name?
        let attempt: Int64
        var order: (Int64, EventSequence) { (attempt, first) }

        static func == (left: Execution, right: Execution) -> Bool { left.first == right.first }
    }

    private(set) var events: [Event] = []
    private(set) var executions: [Execution] = []
    private(set) var executionOfEvent: [EventSequence: Execution] = [:]
    private(set) var discarded: [EventSequence: Verdict] = [:]
    private(set) var duplicateOf: [EventSequence: EventSequence] = [:]

    mutating func append(_ event: Event) {
        events.append(event)
        guard let reference = event.body.reference else { return }
        guard let execution = existing(reference) else {
            start(reference, with: event)
            return
        }
        executionOfEvent[event.sequence] = execution
        discarded[event.sequence] = discard(event, reference, execution)
    }

    private func existing(_ reference: ExecutionReference) -> Execution? {
        let ofTask = executions.filter { $0.task == reference.task }
        if let name = reference.execution { return ofTask.first { $0.name == name } }
        let attempt = Int64(reference.attempt ?? 1)
        return ofTask.filter { $0.attempt == attempt }.min { $0.first < $1.first }
    }

    private mutating func start(_ reference: ExecutionReference, with event: Event) {
        let highest = executions.filter { $0.task == reference.task }.map(\.attempt).max() ?? 0
        let attempt: Int64 =
            if let given = reference.attempt {
                Int64(given)
            } else if reference.execution == nil {
                1
            } else {
                min(highest + 1, 2_147_483_647)
            }
        let execution = Execution(
            first: event.sequence, task: reference.task, name: reference.execution, attempt: attempt)
        executions.append(execution)
        executionOfEvent[event.sequence] = execution
    }

    private mutating func discard(_ event: Event, _ reference: ExecutionReference, _ execution: Execution) -> Verdict? {
        if let attempt = reference.attempt, Int64(attempt) != execution.attempt { return .conflict }
        guard case .progress(let progress) = event.body else { return nil }
        let earlierReports = events.filter {
            executionOfEvent[$0.sequence] == execution && discarded[$0.sequence] == nil && $0.sequence < event.sequence
        }.compactMap { earlier -> (EventSequence, ProgressReport)? in
            guard case .progress(let progress) = earlier.body else { return nil }
            return (earlier.sequence, progress)
        }
        if let report = progress.report,
            let (sequence, earlier) = earlierReports.first(where: {
                $0.1.report == report && $0.1.part == progress.part
            })
        {
            duplicateOf[event.sequence] = sequence
            let isSame =
                earlier.label == progress.label && earlier.total ?? 0 == progress.total ?? 0
                && earlier.done ?? 0 == progress.done ?? 0
            return isSame ? .duplicate : .conflict
        }
        let labels = Set(earlierReports.map(\.1.label))
        return labels.count >= 1_000 && !labels.contains(progress.label) ? .overLimit : nil
    }

    func last(_ task: Name, at sequence: EventSequence) -> Execution? {
        executions.filter { $0.task == task && $0.first <= sequence }.max { $0.order < $1.order }
    }

    /// The verdict of an event, as of a sequence at or after its own.
    func verdict(of event: Event, at sequence: EventSequence) -> Verdict {
        guard let execution = executionOfEvent[event.sequence] else { return .counted }
        if let verdict = discarded[event.sequence] { return verdict }
        return last(execution.task, at: sequence) == execution ? .counted : .superseded
    }

    func isLate(_ event: Event) -> Bool {
        guard let execution = executionOfEvent[event.sequence], discarded[event.sequence] == nil else { return false }
        return last(execution.task, at: event.sequence) != execution
    }

    func supersededBy(_ event: Event, at sequence: EventSequence) -> EventSequence? {
        guard let execution = executionOfEvent[event.sequence], verdict(of: event, at: sequence) == .superseded else {
            return nil
        }
        if let last = last(execution.task, at: event.sequence), last != execution { return last.first }
        return executions.filter {
            $0.task == execution.task && $0.first > event.sequence && $0.order > execution.order
        }.map(\.first)
            .min()
    }

    func indicators(_ policy: CountingPolicy) -> [Snapshot.Indicator] {
        let head = events.last?.sequence ?? 0
        var order: [Name?] = []
        var counted: [Name?: Units] = [:]
        var attempted: [Name?: Units] = [:]
        var carried: [Name?: Int128] = [:]
        for event in events {
            guard case .progress(let progress) = event.body else { continue }
            if !order.contains(progress.label) { order.append(progress.label) }
            guard discarded[event.sequence] == nil, let execution = executionOfEvent[event.sequence] else { continue }
            let units = Units(total: Int128(progress.total ?? 0), done: Int128(progress.done ?? 0))
            attempted[progress.label, default: .zero] += units
            carried[progress.label, default: 0] += Int128(progress.carried ?? 0)
            let counts =
                switch policy {
                case .last: last(execution.task, at: head) == execution
                case .all: true
                case .lastSuccessful: lastSuccessful(execution.task) == execution
                }
            if counts { counted[progress.label, default: .zero] += units }
        }
        return order.compactMap { label in
            counted[label].map {
                Snapshot.Indicator(
                    label: label, counted: $0, attempted: attempted[label] ?? .zero, carried: carried[label] ?? 0,
                    updatedAt: Timestamp(microseconds: 0), unit: unit(of: label), message: message(of: label))
            }
        }
    }

    /// The unit of the first event of a label that gives one, with any verdict.
    private func unit(of label: Name?) -> Name? {
        events.lazy.compactMap { event -> Name? in
            guard case .progress(let progress) = event.body, progress.label == label else { return nil }
            return progress.unit
        }.first
    }

    /// The message of the highest event of a label that counted on arrival and has one.
    private func message(of label: Name?) -> Name? {
        events.last { event in
            guard case .progress(let progress) = event.body, progress.label == label else { return false }
            return event.message != nil && verdict(of: event, at: event.sequence) == .counted
        }?.message
    }

    /// The message of the highest event of the job that counted on arrival and has one.
    var message: Name? {
        events.last { $0.message != nil && verdict(of: $0, at: $0.sequence) == .counted }?.message
    }

    /// The last event of an execution that was not discarded and meets the condition.
    func lastEvent(of execution: EventSequence, where isWanted: (Event) -> Bool) -> EventSequence? {
        events.last {
            executionOfEvent[$0.sequence]?.first == execution && discarded[$0.sequence] == nil && isWanted($0)
        }?.sequence
    }

    private func lastSuccessful(_ task: Name) -> Execution? {
        executions.filter { $0.task == task && outcome(of: $0) == .succeeded }.max { $0.order < $1.order }
    }

    func outcome(of execution: Execution) -> ExecutionOutcome? {
        var outcome: ExecutionOutcome?
        for event in events where executionOfEvent[event.sequence] == execution && discarded[event.sequence] == nil {
            if case .executionFinished(_, let ended) = event.body { outcome = ended }
        }
        return outcome
    }

    var jobState: JobState {
        var state = JobState.running
        for event in events {
            if case .jobFinished(let outcome) = event.body { state = JobState(outcome) }
            if let execution = executionOfEvent[event.sequence], execution.first == event.sequence,
                last(execution.task, at: event.sequence) == execution
            {
                state = .running
            }
        }
        return state
    }

    func taskState(_ task: Name) -> TaskState {
        TaskState(last(task, at: events.last?.sequence ?? 0).flatMap(outcome))
    }
}
