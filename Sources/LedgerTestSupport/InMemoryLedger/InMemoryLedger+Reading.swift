public import Ledger
public import LedgerStore

extension InMemoryLedger {
    // MARK: Jobs

    public func job(_ id: JobID) -> JobView? { stampedJob(id)?.view }

    public func stampedJob(_ id: JobID) -> StampedJob? {
        inspect(id) { StampedJob(view: $0.view(), stamp: $0.stamp) }
    }

    public func stampedJob(_ id: JobID, whenDone: @escaping @Sendable (Result<StampedJob?, StoreError>) -> Void) {
        whenDone(.success(stampedJob(id)))
    }

    public func stamp(of id: JobID, whenDone: @escaping @Sendable (Result<SnapshotStamp?, StoreError>) -> Void) {
        whenDone(.success(stampedJob(id)?.stamp))
    }

    public func job(_ id: JobID, counting policy: CountingPolicy) -> JobView? {
        inspect(id) { $0.view(counting: policy) }
    }

    public func job(
        _ id: JobID, at moment: PointInTime, counting policy: CountingPolicy
    ) -> JobView? {
        inspect(id) { $0.view(at: $0.sequence(of: moment), time: Self.time(of: moment), counting: policy) }
    }

    public func jobs(
        _ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) -> [JobView] {
        let comesBefore: (JobID, JobID) -> Bool = order == .newest ? { $0 > $1 } : { $0 < $1 }
        let later = jobs.filter { job in cursor.map { comesBefore($0, job.id) } ?? true }
        return Array(
            later.sorted { comesBefore($0.id, $1.id) }.lazy.map { $0.view() }.filter {
                filter.matches($0.id, $0.description, in: $0.snapshot.state)
            }.prefix(limit))
    }

    public func countJobs(_ filter: JobFilter) -> JobCountsByState {
        var counts = JobCountsByState()
        let states = filter.orderedStates.isEmpty ? JobState.allCases : filter.orderedStates
        for state in states {
            let found = jobs.map { $0.view() }.filter { view in
                view.snapshot.state == state && filter.matches(view.id, view.description, in: state)
            }
            counts.set(state, found.count, isIncomplete: false)
        }
        return counts
    }

    public func jobs(_ ids: [JobID]) -> [JobView] { Set(ids).compactMap { job($0) } }

    // MARK: Events

    public func events(
        _ job: JobID, _ filter: EventFilter, after: EventSequence?, limit: Int
    ) -> EventPage? {
        inspect(job) { job in
            let isAscending = filter.order == .ascending
            let ordered = isAscending ? job.events : job.events.reversed()
            let rest = ordered.filter { one in
                guard let after else { return true }
                return isAscending ? one.event.sequence > after : one.event.sequence < after
            }
            let page = Array(job.explained(rest).lazy.filter { filter.accepts($0) }.prefix(limit))
            return EventPage(events: page, nextAfter: page.count == limit ? page.last?.event.sequence : nil)
        }
    }

    public func verdicts(_ job: JobID, _ sequences: ClosedRange<EventSequence>) -> [Verdict?] {
        inspect(job) { job in
            job.explained(job.events.filter { sequences.contains($0.event.sequence) }).map(\.verdict)
        } ?? []
    }

    public func trackRecord(of name: Name, within confinement: Confinement) -> TrackRecord { TrackRecord() }

    public func status(
        of execution: Name, task: Name, in job: JobID, at sequence: EventSequence
    ) -> ExecutionStatus? {
        inspect(job) { job in
            guard let task = job.fold.task(task)?.id else { return nil }
            let executions = job.fold.executionStates.filter { $0.task == task }
            guard let found = executions.first(where: { $0.name == execution }),
                let last = executions.filter({ $0.id.sequence <= sequence }).max(by: { $0.rank < $1.rank })
            else { return nil }
            return ExecutionStatus(execution: found.identity, last: last.identity)
        }
    }

    // MARK: Tasks and indicators

    /// The time of a past moment, at most the present; `nil` if the moment is an event.
    private static func time(of moment: PointInTime) -> Timestamp? {
        if case .time(let time) = moment { min(time, now) } else { nil }
    }

    public func tasks(
        _ job: JobID, _ filter: TaskFilter, at moment: PointInTime?, limit: Int, after cursor: TaskID?
    ) -> TaskPage? {
        inspect(job) { job in
            job.withNotes(
                job.taskPage(
                    filter, at: moment.map { job.sequence(of: $0) }, time: moment.flatMap { Self.time(of: $0) },
                    limit: limit, after: cursor))
        }
    }

    public func timeline(
        _ job: JobID, _ timeline: ExecutionTimeline, at moment: PointInTime?
    ) -> ExecutionTimeline {
        inspect(job) { job in
            (moment.map { job.pastFold(through: job.sequence(of: $0)) } ?? job.fold).timeline(timeline)
        } ?? timeline
    }

    public func explain(
        _ job: JobID, _ label: Name?, at moment: PointInTime?, counting policy: CountingPolicy, onlyUncounted: Bool,
        limit: Int, after cursor: Explanation.Cursor?
    ) -> ExplanationResult {
        inspect(job) { job in
            let fold = moment.map { job.pastFold(through: job.sequence(of: $0)) } ?? job.fold
            let found = fold.explanation(
                of: label, counting: policy, onlyUncounted: onlyUncounted, limit: limit, after: cursor)
            if let found {
                return .found(found)
            }
            // An indicator that only later events name has no units.
            guard job.names(label) else { return .noSuchIndicator }
            let sequence = fold.progress.sequence
            let nothing = IndicatorState(id: IndicatorID(sequence), label: label, updatedAt: job.createdAt)
            return .found(Explanation(sequence: sequence, indicator: nothing, entries: [], nextCursor: nil))
        } ?? .noSuchJob
    }

    public func difference(
        _ job: JobID, from: PointInTime, to: PointInTime?, counting policy: CountingPolicy, limit: Int
    ) -> SnapshotDiff? {
        inspect(job) { job in
            let start = job.sequence(of: from)
            let end = max(start, to.map { job.sequence(of: $0) } ?? job.sequence)
            var fold = job.pastFold(through: start)
            var recorder = SnapshotDiffRecorder(from: fold, counting: policy, limit: limit)
            for one in job.events[(start - .start)..<(end - .start)] {
                recorder.record(one.event, fold.decision(on: one.event), in: fold)
            }
            return recorder.difference(to: fold)
        }
    }

    public func history(_ job: JobID, _ label: Name?, points: Int) -> HistoryResult {
        inspect(job) { job in
            var fold = Fold(tracksChanges: false)
            var recorder = IndicatorHistoryRecorder(label, points: points)
            for one in job.events { recorder.record(one.event, fold.decision(on: one.event), in: fold) }
            return recorder.history(through: fold).map { .found($0) } ?? .noSuchIndicator
        } ?? .noSuchJob
    }
}

extension InMemoryJob {
    /// The page with the reporters, messages and links of the executions.
    fileprivate func withNotes(_ page: TaskPage) -> TaskPage {
        var page = page
        let notes = Set(page.notedEvents).map { ($0, EventNotes(events[$0 - 1].event)) }
        page.setNotes(Dictionary(uniqueKeysWithValues: notes))
        return page
    }
}

extension EventFilter {
    fileprivate func accepts(_ explained: ExplainedEvent) -> Bool {
        let body = explained.event.body
        if let task, body.reference?.task != task { return false }
        if let execution, explained.execution != execution { return false }
        if let type, body.type != type { return false }
        if let verdict, explained.verdict != verdict { return false }
        guard let indicator else { return true }
        guard case .progress(let report) = body else { return false }
        return report.label == indicator.label
    }
}
