internal import Ledger
internal import LedgerChain
internal import LedgerStore

/// A job of a ledger in memory: its events, and the fold of some or all of them.
struct InMemoryJob: Sendable {
    let id: JobID
    let description: JobDescription
    private(set) var events: [RecordedEvent] = []
    /// The fold that determines the job's snapshot.
    private(set) var fold = Fold(tracksChanges: false)
    /// The state of the job's estimates.
    private var estimateState = EstimateState()
    /// The decisions on the events that the fold has discarded.
    private var discards: [EventSequence: Fold.Decision] = [:]
    private var chain: HashChain

    init(_ id: JobID, _ description: JobDescription) {
        self.id = id
        self.description = description
        chain = HashChain(job: id)
    }

    /// The sequence of the last event.
    var sequence: EventSequence { .start + events.count }

    /// The last event's position in the hash chain.
    var head: ChainPosition { ChainPosition(sequence: sequence, hash: chain.lastHash) }

    var createdAt: Timestamp { events.first?.event.recordedAt ?? .earliest }

    var recordedAt: Timestamp { events.last?.event.recordedAt ?? .earliest }

    // MARK: Recording and folding

    /// Records the next event.
    ///
    /// Times never decrease within a job, even if the clock does.
    mutating func record(_ draft: EventDraft, at now: Timestamp) {
        append(draft.recorded(sequence: sequence + 1, at: max(now, recordedAt)))
    }

    /// Appends an event, which must be the next one.
    mutating func append(_ event: Event) {
        events.append(RecordedEvent(event: event, hash: chain.append(event)))
    }

    /// Folds new events, up to this one at most.
    ///
    /// - Returns: The last folded event if there were any new ones.
    mutating func fold(_ last: EventSequence) -> EventSequence? {
        let before = fold.progress.sequence
        for one in events[(before - .start)...] where one.event.sequence <= last {
            let decision = estimateState.decision(on: one.event, &fold)
            if decision.verdict.isDiscarded { discards[one.event.sequence] = decision }
        }
        return fold.progress.sequence > before ? fold.progress.sequence : nil
    }

    // MARK: Reading

    /// The number of the only projection.
    private static let projection: Int16 = 1

    /// The event with this sequence, or `nil` without one.
    func event(_ sequence: EventSequence) -> RecordedEvent? {
        1...self.sequence ~= sequence ? events[sequence - 1] : nil
    }

    /// The job with its snapshot.
    ///
    /// - Parameters:
    ///   - past: The last event of a past snapshot. `nil` is the present one.
    ///   - time: The past moment. `nil` is that of the event.
    func view(at past: EventSequence? = nil, time: Timestamp? = nil, counting policy: CountingPolicy = .last) -> JobView
    {
        let folded = fold.progress.sequence
        var view = JobView(
            id: id, description: description, createdAt: createdAt, ledgerSequence: sequence,
            snapshot: (past.map { pastFold(through: $0) } ?? fold).snapshot(policy),
            version: JobView.Version(projection: Self.projection, history: hash(of: folded)))
        if policy == .last {
            var inputs = inputs(of: view.snapshot, at: past)
            inputs.moment = time ?? inputs.moment
            view.estimate = estimate(of: view.snapshot, inputs)
            view.stalls = StallDetector(inputs.state, view.snapshot, of: description, history: nil)
                .stalls(at: inputs.moment)
        }
        return view
    }

    /// The inputs of estimates and stalls, at present or as of a past event.
    private typealias Inputs = (fold: Fold, state: EstimateState, moment: Timestamp)

    private func inputs(of snapshot: Snapshot, at past: EventSequence?) -> Inputs {
        guard let past else { return (fold, estimateState, InMemoryLedger.now) }
        var (fold, state) = (Fold(tracksChanges: false), EstimateState())
        for one in events.prefix(past - .start) { _ = state.decision(on: one.event, &fold) }
        return (fold, state, snapshot.updatedAt ?? createdAt)
    }

    /// A page of the tasks, at present or as of a past event.
    ///
    /// - Parameter time: The past moment; nil for that of the event.
    func taskPage(
        _ filter: TaskFilter, at past: EventSequence?, time: Timestamp?, limit: Int, after cursor: TaskID?
    ) -> TaskPage {
        let snapshot = (past.map { pastFold(through: $0) } ?? fold).snapshot()
        let inputs = inputs(of: snapshot, at: past)
        let silence = StallDetector(inputs.state, snapshot, of: description, history: nil)
            .silence(at: time ?? inputs.moment)
        let (tasks, hasMore) = inputs.fold.taskSummaries(
            filter, silence: silence, now: time ?? inputs.moment, limit: limit, after: cursor)
        return TaskPage(
            sequence: snapshot.sequence, tasks: tasks, nextCursor: hasMore ? tasks.last?.id : nil)
    }

    /// The estimate without history: a ledger in memory does not learn.
    private func estimate(of snapshot: Snapshot, _ inputs: Inputs) -> JobEstimate {
        let (fold, state, now) = inputs
        let estimate = Estimator(state, snapshot, history: nil, startedTasks: []).estimate(at: now)
        let tasks = (estimate.waitingFor?.executions ?? []).compactMap { fold.taskName(of: $0) }
        return JobEstimate(estimate, at: now, waitingTasks: tasks, paces: state.paces(of: snapshot, at: now))
    }

    var stamp: SnapshotStamp {
        let folded = fold.progress.sequence
        var stamp = SnapshotStamp(
            ledgerSequence: sequence, head: hash(of: sequence), sequence: folded, projection: Self.projection,
            writer: 0)
        stamp.history = hash(of: folded)
        return stamp
    }

    private func hash(of sequence: EventSequence) -> EventHash {
        event(sequence)?.hash ?? .none
    }

    /// Returns the fold of events 1 to `last`.
    func pastFold(through last: EventSequence) -> Fold {
        var fold = Fold(tracksChanges: false)
        for one in events.prefix(last - .start) { _ = fold.decision(on: one.event) }
        return fold
    }

    /// Returns the sequence of the last event at a point in time, or 0 without one.
    func sequence(of moment: PointInTime) -> EventSequence {
        switch moment {
        case .sequence(let sequence): min(max(0, sequence), self.sequence)
        case .time(let time): .start + events.prefix { $0.event.recordedAt <= time }.count
        }
    }

    /// Whether any event names the indicator.
    func names(_ label: Name?) -> Bool {
        events.contains { one in if case .progress(let report) = one.event.body { report.label == label } else { false }
        }
    }

    /// Returns these events with their verdicts.
    func explained(_ events: some Sequence<RecordedEvent>) -> [ExplainedEvent] {
        let executions = Dictionary(grouping: fold.executionStates, by: \.task)
        var histories: [Name: ExecutionClassifier] = [:]
        for task in fold.taskStates { histories[task.name] = ExecutionClassifier(executions[task.id] ?? []) }
        return events.map { one in explained(one, by: one.event.body.reference.flatMap { histories[$0.task] }) }
    }

    private func explained(_ one: RecordedEvent, by history: ExecutionClassifier?) -> ExplainedEvent {
        let event = one.event
        let reference = event.body.reference
        var explained = ExplainedEvent(
            event: event, hash: one.hash, execution: reference?.execution, attempt: reference?.attempt)
        guard event.sequence <= fold.progress.sequence else { return explained }
        guard let reference else {
            explained.verdict = .counted
            return explained
        }
        let execution = history?.execution(of: reference)
        explained.execution = reference.execution ?? execution?.name
        explained.attempt = reference.attempt ?? execution?.attempt
        if let discard = discards[event.sequence] {
            explained.verdict = discard.verdict
            explained.duplicateOf = discard.duplicateOf
        } else if let found = history?.classification(of: reference, at: event.sequence) {
            explained.verdict = found.supersededBy == nil ? .counted : .superseded
            explained.late = found.isLate
            explained.supersededBy = found.supersededBy
        }
        return explained
    }
}

extension EstimateState {
    /// Folds the next event into a fold and into this state.
    fileprivate mutating func decision(on event: Event, _ fold: inout Fold) -> Fold.Decision {
        do throws(FoldStateError) { return try apply(event, to: &fold) } catch {
            preconditionFailure("only a restored fold can fail: \(error)")
        }
    }
}

extension Fold {
    /// Folds the next event.
    mutating func decision(on event: Event) -> Decision {
        do throws(FoldStateError) { return try apply(event) } catch {
            preconditionFailure("only a restored fold can fail: \(error)")
        }
    }
}
