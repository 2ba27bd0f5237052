import Ledger

/// The meaning of the ledger, written down a second time: straight from semantics, sections 3 and 4, over the whole
/// list of events, with no thought of speed. The fold must agree with it on every history.
struct Oracle {
    struct Run: Equatable {
        let first: Int64
        let task: Name
        let name: Name?
        let attempt: Int64
        var order: (Int64, Int64) { (attempt, first) }

        static func == (left: Run, right: Run) -> Bool { left.first == right.first }
    }

    private(set) var events: [Event] = []
    private(set) var runs: [Run] = []
    private(set) var runOfEvent: [Int64: Run] = [:]
    private(set) var discarded: [Int64: Verdict] = [:]
    private(set) var duplicateOf: [Int64: Int64] = [:]

    mutating func append(_ event: Event) {
        events.append(event)
        guard let reference = event.body.reference else { return }
        guard let run = known(reference) else {
            begin(reference, with: event)
            return
        }
        runOfEvent[event.sequence] = run
        discarded[event.sequence] = discard(event, reference, run)
    }

    private func known(_ reference: ExecutionReference) -> Run? {
        let ofTask = runs.filter { $0.task == reference.task }
        if let name = reference.execution { return ofTask.first { $0.name == name } }
        let attempt = Int64(reference.attempt ?? 1)
        return ofTask.filter { $0.attempt == attempt }.min { $0.first < $1.first }
    }

    private mutating func begin(_ reference: ExecutionReference, with event: Event) {
        let highest = runs.filter { $0.task == reference.task }.map(\.attempt).max() ?? 0
        let attempt: Int64 =
            if let given = reference.attempt {
                Int64(given)
            } else if reference.execution == nil {
                1
            } else {
                min(highest + 1, 2_147_483_647)
            }
        let run = Run(first: event.sequence, task: reference.task, name: reference.execution, attempt: attempt)
        runs.append(run)
        runOfEvent[event.sequence] = run
    }

    private mutating func discard(_ event: Event, _ reference: ExecutionReference, _ run: Run) -> Verdict? {
        if let attempt = reference.attempt, Int64(attempt) != run.attempt { return .conflict }
        guard case .progress(let progress) = event.body else { return nil }
        let borne = events.filter {
            runOfEvent[$0.sequence] == run && discarded[$0.sequence] == nil && $0.sequence < event.sequence
        }.compactMap { earlier -> (Int64, ProgressReport)? in
            guard case .progress(let progress) = earlier.body else { return nil }
            return (earlier.sequence, progress)
        }
        if let report = progress.report, let (sequence, earlier) = borne.first(where: { $0.1.report == report }) {
            duplicateOf[event.sequence] = sequence
            let isSame =
                earlier.label == progress.label && earlier.total ?? 0 == progress.total ?? 0
                && earlier.done ?? 0 == progress.done ?? 0
            return isSame ? .duplicate : .conflict
        }
        let labels = Set(borne.map(\.1.label))
        return labels.count >= 1_000 && !labels.contains(progress.label) ? .overLimit : nil
    }

    func last(_ task: Name, at sequence: Int64) -> Run? {
        runs.filter { $0.task == task && $0.first <= sequence }.max { $0.order < $1.order }
    }

    /// The verdict of an event, as of a sequence not before it.
    func verdict(of event: Event, at sequence: Int64) -> Verdict {
        guard let run = runOfEvent[event.sequence] else { return .counted }
        if let verdict = discarded[event.sequence] { return verdict }
        return last(run.task, at: sequence) == run ? .counted : .superseded
    }

    func isLate(_ event: Event) -> Bool {
        guard let run = runOfEvent[event.sequence], discarded[event.sequence] == nil else { return false }
        return last(run.task, at: event.sequence) != run
    }

    func supersededBy(_ event: Event, at sequence: Int64) -> Int64? {
        guard let run = runOfEvent[event.sequence], verdict(of: event, at: sequence) == .superseded else { return nil }
        if let last = last(run.task, at: event.sequence), last != run { return last.first }
        return runs.filter { $0.task == run.task && $0.first > event.sequence && $0.order > run.order }.map(\.first)
            .min()
    }

    func indicators(_ policy: CountingPolicy) -> [Snapshot.Indicator] {
        let head = events.last?.sequence ?? 0
        var order: [Name?] = []
        var counted: [Name?: Units] = [:]
        var attempted: [Name?: Units] = [:]
        for event in events {
            guard case .progress(let progress) = event.body else { continue }
            if !order.contains(progress.label) { order.append(progress.label) }
            guard discarded[event.sequence] == nil, let run = runOfEvent[event.sequence] else { continue }
            let units = Units(total: Int128(progress.total ?? 0), done: Int128(progress.done ?? 0))
            attempted[progress.label, default: .zero] += units
            let counts =
                switch policy {
                case .last: last(run.task, at: head) == run
                case .all: true
                case .lastSuccessful: lastSuccessful(run.task) == run
                }
            if counts { counted[progress.label, default: .zero] += units }
        }
        return order.compactMap { label in
            counted[label].map {
                Snapshot.Indicator(
                    label: label, counted: $0, attempted: attempted[label] ?? .zero,
                    updatedAt: Timestamp(microseconds: 0))
            }
        }
    }

    private func lastSuccessful(_ task: Name) -> Run? {
        runs.filter { $0.task == task && outcome(of: $0) == .succeeded }.max { $0.order < $1.order }
    }

    func outcome(of run: Run) -> ExecutionOutcome? {
        var outcome: ExecutionOutcome?
        for event in events where runOfEvent[event.sequence] == run && discarded[event.sequence] == nil {
            if case .executionFinished(_, let ended) = event.body { outcome = ended }
        }
        return outcome
    }

    var jobState: JobState {
        var state = JobState.running
        for event in events {
            if case .jobFinished(let outcome) = event.body { state = JobState(outcome) }
            if let run = runOfEvent[event.sequence], run.first == event.sequence,
                last(run.task, at: event.sequence) == run
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
