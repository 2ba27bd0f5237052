internal import Ledger
internal import LedgerStore
internal import PQ

/// The jobs claimed by a step, with their next events and partial states.
///
/// The states contain only the parts that the next events touch.
struct ClaimedJobs {
    /// A claimed job.
    struct Job {
        let id: JobID
        let projection: Int16
        var fold: Fold
        /// The state of its estimates; nil if it must first be built from the events.
        var estimate: EstimateState?
        var events: [Event] = []
        /// The subscriptions to the job; empty for most jobs, which then cost nothing more.
        var subscriptions: [Subscription] = []
        /// The sum for the percentage before the events.
        ///
        /// Nil unless a subscription asks for percentages.
        var percentage: PercentageSum?

        /// Restores the last execution of a task, with its work if it is running.
        mutating func restore(_ execution: Execution, work: [UInt8]?) {
            fold.restore(execution)
            guard execution.outcome == nil, execution.isLast else { return }
            guard let work else {
                estimate = nil
                return
            }
            restoreEstimate { state throws(FoldStateError) in try state.restore(work: work) }
        }

        mutating func restore(_ indicator: IndicatorState, pattern: [UInt8]?) {
            fold.restore(indicator)
            guard let pattern else { return }
            restoreEstimate { state throws(FoldStateError) in try state.restore(patterns: pattern) }
        }

        /// Restores a part of the state of its estimates.
        ///
        /// If it is missing or cannot be read, the whole state must be built again. The numbers of the job do not
        /// depend on it.
        private mutating func restoreEstimate(_ body: (inout EstimateState) throws(FoldStateError) -> Void) {
            guard var state = estimate else { return }
            estimate = nil
            do throws(FoldStateError) { try body(&state) } catch { return }
            estimate = state
        }

        /// Folds all events of the job.
        mutating func foldEvents() throws(FoldStateError) -> StateChanges.JobChanges {
            let before = fold.progress.sequence
            let stateBefore = fold.progress.state
            let shownBefore = percentage.map { _ in shownUnits }
            var recorder =
                subscriptions.isEmpty ? nil : NotificationRecorder(id, subscriptions, after: fold.progress)
            for event in events {
                let decision: Fold.Decision? =
                    if estimate == nil {
                        try fold.apply(event)
                    } else {
                        try estimate?.apply(event, to: &fold)
                    }
                if recorder != nil, let decision { recorder?.record(event, decision, in: fold) }
            }
            let changes = try fold.takeChanges()
            if let before = percentage, let shownBefore, let last = events.last {
                var after = before
                for indicator in changes.indicators {
                    if let units = shownBefore[indicator.id] { after.remove(units) }
                    if indicator.countedEvents > 0 { after.add(indicator.counted) }
                }
                recorder?.recordPercent(
                    from: before.percent(in: stateBefore), to: after.percent(in: fold.progress.state),
                    by: (last.sequence, last.recordedAt))
                percentage = after
            }
            return StateChanges.JobChanges(
                job: id, projection: projection, previousSequence: before, changes: changes, estimate: estimate,
                isReopened: stateBefore != .running && fold.progress.state == .running, eventCount: events.count,
                notifications: recorder?.notifications ?? [], percentage: percentage)
        }

        /// The counted units of the shown indicators, by sequence.
        ///
        /// They are those that the events may change.
        private var shownUnits: [IndicatorID: Units] {
            let shown = fold.indicatorStates.filter { $0.countedEvents > 0 }
            return Dictionary(uniqueKeysWithValues: shown.map { ($0.id, $0.counted) })
        }
    }

    private(set) var jobs: [Job] = []
    private var indices: [JobID: Int] = [:]

    private init(_ jobs: [Job]) {
        self.jobs = jobs
        indices = Dictionary(uniqueKeysWithValues: jobs.indices.map { (jobs[$0].id, $0) })
    }

    /// The two columns that the claim reads for each job and its next events.
    ///
    /// ``init(_:requested:recent:)`` decodes them. The first is an event with the number of its job,
    /// `requested.number`. The second, only in the row of a job's first event, is the record of its snapshot,
    /// `claimed`.
    static let columns = """
        row(requested.number, \(FoldedEventRow.columns)),
        case
            when event.sequence = claimed.sequence + 1 then
                \(SnapshotRecord.record(of: "claimed"))
        end
        """

    /// Decodes the result of the claim.
    ///
    /// - Parameters:
    ///   - requested: The jobs, in the order of their numbers, from 1.
    ///   - recent: The states of earlier steps, from which the folds continue if they are the stored ones.
    /// - Throws: ``PQError/Code/decoding`` if a job's events do not continue its snapshot's sequence. The projection
    ///   then stops instead of skipping events.
    init(_ rows: Rows, requested: [JobID], recent: RecentFolds) throws(PQError) {
        var (records, snapshots) = (RecordReader(), RecordReader())
        var number: Int64 = 0
        var next = EventSequence.start
        for row in rows {
            try records.read(row, 0) { record throws(PQError) in
                let requestedNumber = try record.int8() ?? 0
                guard requestedNumber >= 1, requestedNumber <= requested.count else {
                    throw PQError(.decoding, "the claim returned an event of a job that was not requested")
                }
                if requestedNumber != number {
                    number = requestedNumber
                    next = try add(requested[Int(number) - 1], row, &snapshots, recent)
                }
                let event = try FoldedEventRow.decode(&record)
                guard event.sequence == next else {
                    throw PQError(
                        .decoding,
                        "job \(requested[Int(number) - 1]) has event \(event.sequence); expected event \(next)")
                }
                next += 1
                jobs[jobs.count - 1].events.append(event)
            }
        }
    }

    var eventCount: Int { jobs.reduce(0) { $0 + $1.events.count } }

    /// Divides the jobs into a portion and the remaining ones.
    ///
    /// The portion touches at most `executionsMax` executions, at least one. The state of an execution that is read,
    /// changed and written may take a hundred kilobytes. The last job of the portion may have remaining events as well.
    func divided(executionsMax: Int) -> (portion: ClaimedJobs, remaining: ClaimedJobs) {
        var (portion, remaining): ([Job], [Job]) = ([], [])
        var left = max(1, executionsMax)
        for job in jobs {
            guard left > 0, remaining.isEmpty else {
                remaining.append(job)
                continue
            }
            var touched: Set<ExecutionReference> = []
            let end = job.events.firstIndex { event in
                guard let reference = event.body.reference, !touched.contains(reference) else { return false }
                guard left > 0 else { return true }
                left -= 1
                touched.insert(reference)
                return false
            }
            portion.append(job)
            guard let end else { continue }
            portion[portion.count - 1].events.removeSubrange(end...)
            remaining.append(job)
            remaining[0].events.removeSubrange(..<end)
        }
        return (ClaimedJobs(portion), ClaimedJobs(remaining))
    }

    /// No claimed jobs.
    static var none: ClaimedJobs { ClaimedJobs([]) }

    /// Continues a job from the state that its earlier events have reached.
    ///
    /// It does nothing if the job has no remaining events.
    mutating func resume(_ job: JobID, from changes: StateChanges.JobChanges) {
        guard let index = indices[job] else { return }
        jobs[index].fold = Fold(changes.changes.progress)
        jobs[index].estimate = changes.estimate.flatMap { EstimateState(stored: $0.encoded) }
        jobs[index].percentage = changes.percentage
    }

    /// Drops the remaining events of a job.
    ///
    /// Its earlier ones could not be folded.
    mutating func dropRest(of job: JobID) {
        guard indices[job] != nil else { return }
        self = ClaimedJobs(jobs.filter { $0.id != job })
    }

    /// Adds the job that has its first event in this row.
    ///
    /// - Returns: The sequence of that event.
    private mutating func add(
        _ id: JobID, _ row: Row, _ snapshots: inout RecordReader, _ recent: RecentFolds
    ) throws(PQError) -> EventSequence {
        guard indices.updateValue(jobs.count, forKey: id) == nil else {
            throw PQError(.decoding, "the events of job \(id) are not in consecutive rows")
        }
        let before = jobs.count
        try snapshots.read(row, 1) { record throws(PQError) in
            let snapshot = try SnapshotRecord(&record)
            if let state = recent.take(id, storedAs: snapshot) {
                jobs.append(
                    Job(id: id, projection: snapshot.projection, fold: state.fold, estimate: state.estimate))
                return
            }
            // A job begins with the empty state, and its first event changes nothing in it.
            let estimate =
                snapshot.estimate.map { EstimateState(stored: $0) }
                ?? (snapshot.progress.sequence <= 1 ? EstimateState() : nil)
            jobs.append(
                Job(id: id, projection: snapshot.projection, fold: Fold(snapshot.progress), estimate: estimate))
        }
        guard jobs.count > before else {
            throw PQError(.decoding, "the next event of job \(id) is missing")
        }
        return jobs[before].fold.progress.sequence + 1
    }

    /// Folds all events of all jobs.
    ///
    /// A job with an unreadable state stays unchanged and is returned as damaged.
    mutating func foldEvents() -> (changes: [StateChanges.JobChanges], damaged: [(job: JobID, error: FoldStateError)]) {
        var changes: [StateChanges.JobChanges] = []
        var damaged: [(job: JobID, error: FoldStateError)] = []
        for index in jobs.indices {
            do throws(FoldStateError) {
                changes.append(try jobs[index].foldEvents())
            } catch {
                damaged.append((jobs[index].id, error))
            }
        }
        return (changes, damaged)
    }

    /// Adds the subscriptions to these jobs, so that notifications are recorded.
    mutating func setSubscriptions(_ subscriptions: [JobID: [Subscription]]) {
        guard !subscriptions.isEmpty else { return }
        for index in jobs.indices { jobs[index].subscriptions = subscriptions[jobs[index].id] ?? [] }
    }

    /// The jobs with a percentage that must be known before the fold.
    private var percentJobs: [Job] {
        jobs.filter { job in
            job.percentage == nil && !NotificationRecorder.thresholds(of: job.subscriptions).isEmpty
        }
    }

    /// Restores the sums for percentages that an earlier step remembered.
    mutating func restorePercentages(from recent: RecentPercentages) {
        for job in percentJobs { jobs[indices[job.id] ?? 0].percentage = recent.sum(of: job) }
    }

    /// The statement that reads the indicators for percentages.
    ///
    /// Empty unless a subscription asks for percentages of a job that no earlier step remembered.
    var percentQueries: [Query] {
        let jobs = percentJobs
        guard !jobs.isEmpty else { return [] }
        return [
            Query(
                """
                select requested.job_id, indicator.counted_total, indicator.counted_done
                from unnest($1::uuid[], $2::smallint[]) as requested (job_id, projection)
                cross join lateral (
                    select * from ledger.indicator as found
                    where found.job_id = requested.job_id and found.projection = requested.projection
                        and found.counted_events > 0
                    order by found.sequence
                ) as indicator
                """, [.uuids(jobs.map(\.id.uuid)), .int2s(jobs.map(\.projection))])
        ]
    }

    /// Adds up the sums from the rows of ``percentQueries``.
    mutating func decodePercentages(_ rows: Rows) throws(PQError) {
        for job in percentJobs { jobs[indices[job.id] ?? 0].percentage = PercentageSum() }
        for row in rows {
            var columns = row.columns
            let index = try jobIndex(&columns)
            let total = try columns.next(Int128.self)
            jobs[index].percentage?.add(Units(total: total, done: try columns.next()))
        }
    }

    /// Restores the state parts read by ``StateQueries/queries(for:)``.
    mutating func restore(_ part: StateQueries.Part, _ rows: Rows) throws(PQError) {
        switch part {
        case .tasks:
            for row in rows {
                var columns = row.columns
                let index = try jobIndex(&columns)
                jobs[index].fold.restore(try TaskRow.decode(&columns))
                let last = try ExecutionRow.decode(&columns)
                jobs[index].restore(last, work: try columns.nextIfPresent())
                if let named = try ExecutionRow.decodeIfPresent(&columns) { jobs[index].fold.restore(named) }
            }
        case .attempts:
            for row in rows {
                var columns = row.columns
                jobs[try jobIndex(&columns)].fold.restore(try ExecutionRow.decode(&columns))
            }
        case .labels: try restoreIndicators(rows)
        }
    }

    /// Restores the state parts read by ``StateQueries/dependentQueries(for:)``.
    mutating func restoreDependent(_ results: [Rows]) throws(PQError) {
        guard results.count == 2 else { throw PQError(.decoding, "expected two results") }
        try restoreIndicators(results[0])
        for row in results[1] {
            var columns = row.columns
            let index = try jobIndex(&columns)
            let execution = try columns.next(ExecutionID.self)
            let part = try columns.next(Name.self)
            let key = ReportPage.Key(
                execution: execution, part: part.text.isEmpty ? nil : part, page: try columns.next())
            jobs[index].fold.restore(ReportPage(bytes: try columns.next()), at: key)
        }
    }

    private mutating func restoreIndicators(_ rows: Rows) throws(PQError) {
        for row in rows {
            var columns = row.columns
            let index = try jobIndex(&columns)
            guard let indicator = try IndicatorRow.decodeIfPresent(&columns) else {
                throw PQError(.decoding, "an indicator has no sequence")
            }
            jobs[index].restore(indicator, pattern: try columns.nextIfPresent())
        }
    }

    /// Returns the index of the job in the next column.
    private func jobIndex(_ columns: inout RowColumns) throws(PQError) -> Int {
        guard let index = indices[try columns.next()] else {
            throw PQError(.decoding, "a query returned a row of a job that was not requested")
        }
        return index
    }
}
