internal import Ledger
internal import LedgerStore
internal import PQ

/// The jobs that a step has claimed, with their next events and the parts of their states that these touch.
struct ClaimedJobs {
    /// One job that is claimed.
    struct Job {
        let id: JobID
        let projection: Int16
        var fold: Fold
        var events: [Event] = []

        /// Folds all events that were read.
        mutating func foldEvents() throws(FoldStateError) -> StateChanges.OfJob {
            let before = fold.progress.sequence
            for event in events { try fold.apply(event) }
            return StateChanges.OfJob(
                job: id, projection: projection, previousSequence: before, changes: try fold.takeChanges(),
                eventCount: events.count)
        }
    }

    private(set) var jobs: [Job] = []
    private var indices: [JobID: Int] = [:]

    private init(_ jobs: [Job]) {
        self.jobs = jobs
        indices = Dictionary(uniqueKeysWithValues: jobs.indices.map { (jobs[$0].id, $0) })
    }

    /// What is read of a job that is claimed and its next events, as two columns: ``init(_:wanted:)`` reads them.
    ///
    /// The first is an event with the number of its job, `wanted.number`; the second, beside the first event of each job,
    /// what its snapshot, `claimed`, says.
    static let columns = """
        row(wanted.number, \(FoldedEventRow.columns)),
        case
            when event.sequence = claimed.sequence + 1 then
                \(SnapshotRecord.of("claimed"))
        end
        """

    /// Reads what the claim has found.
    ///
    /// - Parameter wanted: The jobs, in the order in which they are numbered, from 1.
    /// - Throws: ``PQError/Code/decoding`` where a job's events do not go on where its snapshot stands: then the
    ///   projection stops rather than to leave something out.
    init(_ rows: Rows, wanted: [JobID]) throws(PQError) {
        var (records, snapshots) = (RecordReader(), RecordReader())
        var number: Int64 = 0
        var next: Int64 = 0
        for row in rows {
            try records.read(row, 0) { record throws(PQError) in
                let wantedNumber = try record.int8() ?? 0
                guard wantedNumber >= 1, wantedNumber <= wanted.count else {
                    throw PQError(.decoding, "an event of a job that was not asked for")
                }
                if wantedNumber != number {
                    number = wantedNumber
                    next = try add(wanted[Int(number) - 1], row, &snapshots)
                }
                let event = try FoldedEventRow.decode(&record)
                guard event.sequence == next else {
                    throw PQError(
                        .decoding,
                        "job \(wanted[Int(number) - 1]) has event \(event.sequence) where \(next) was expected")
                }
                next += 1
                jobs[jobs.count - 1].events.append(event)
            }
        }
    }

    var eventCount: Int { jobs.reduce(0) { $0 + $1.events.count } }

    /// What touches so many executions, or the first one at least, and the rest: the state of an execution that is read,
    /// changed and written may be a hundred kilobytes. The last job of the prefix may have events in the rest as well.
    func prefix(executionsMax: Int) -> (prefix: ClaimedJobs, rest: ClaimedJobs) {
        var (prefix, rest): ([Job], [Job]) = ([], [])
        var left = max(1, executionsMax)
        for job in jobs {
            guard left > 0, rest.isEmpty else {
                rest.append(job)
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
            prefix.append(job)
            guard let end else { continue }
            prefix[prefix.count - 1].events.removeSubrange(end...)
            rest.append(job)
            rest[0].events.removeSubrange(..<end)
        }
        return (ClaimedJobs(prefix), ClaimedJobs(rest))
    }

    /// Nothing that is claimed.
    static var none: ClaimedJobs { ClaimedJobs([]) }

    /// Goes on with a job of which a prefix has been folded; nil where it could not be, and nothing more of it can.
    mutating func continueFolding(with job: JobID, from progress: JobProgress?) {
        guard let index = jobs.firstIndex(where: { $0.id == job }) else { return }
        if let progress {
            jobs[index].fold = Fold(progress)
        } else {
            jobs.remove(at: index)
            self = ClaimedJobs(jobs)
        }
    }

    /// Adds a job whose first event is in this row.
    ///
    /// - Returns: The sequence of that event.
    private mutating func add(_ id: JobID, _ row: Row, _ snapshots: inout RecordReader) throws(PQError) -> Int64 {
        guard indices.updateValue(jobs.count, forKey: id) == nil else {
            throw PQError(.decoding, "the events of job \(id) do not come one after the other")
        }
        let before = jobs.count
        try snapshots.read(row, 1) { record throws(PQError) in
            let snapshot = try SnapshotRecord(&record)
            jobs.append(Job(id: id, projection: snapshot.projection, fold: Fold(snapshot.progress)))
        }
        guard jobs.count > before else {
            throw PQError(.decoding, "the next event of job \(id) is not there")
        }
        return jobs[before].fold.progress.sequence + 1
    }

    /// Folds all events of all jobs. A job whose state cannot be read is left as it is, and told.
    mutating func foldEvents() -> (changes: [StateChanges.OfJob], damaged: [(job: JobID, error: FoldStateError)]) {
        var changes: [StateChanges.OfJob] = []
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

    /// Restores what ``StateQueries/needed(by:)`` has read.
    mutating func restore(_ results: [Rows]) throws(PQError) {
        guard results.count == 3 else { throw PQError(.decoding, "three results were expected") }
        for row in results[0] {
            let index = try jobIndex(row)
            jobs[index].fold.restore(try Self.task(row))
            jobs[index].fold.restore(try ExecutionRow.decode(row, from: 6))
            let named = 6 + ExecutionRow.columnCount
            guard try row.decodeIfPresent(named, as: Int64.self) != nil else { continue }
            jobs[index].fold.restore(try ExecutionRow.decode(row, from: named))
        }
        for row in results[1] { jobs[try jobIndex(row)].fold.restore(try ExecutionRow.decode(row, from: 1)) }
        try restoreIndicators(results[2])
    }

    /// Restores what ``StateQueries/neededFurther(by:)`` has read.
    mutating func restoreFurther(_ results: [Rows]) throws(PQError) {
        guard results.count == 2 else { throw PQError(.decoding, "two results were expected") }
        try restoreIndicators(results[0])
        for row in results[1] {
            let key = ReportPage.Key(execution: try row.decode(1), page: try row.decode(2))
            jobs[try jobIndex(row)].fold.restore(ReportPage(bytes: try row.decode(3)), at: key)
        }
    }

    private mutating func restoreIndicators(_ rows: Rows) throws(PQError) {
        for row in rows { jobs[try jobIndex(row)].fold.restore(try Self.indicator(row)) }
    }

    private func jobIndex(_ row: Row) throws(PQError) -> Int {
        guard let index = indices[JobID(uuid: try row.decode(0))] else {
            throw PQError(.decoding, "a row of a job that was not asked for")
        }
        return index
    }

    private static func task(_ row: Row) throws(PQError) -> JobTask {
        guard let state = TaskState(rawValue: try row.decode(4)) else {
            throw PQError(.decoding, "a task has an unknown state")
        }
        return JobTask(
            sequence: try row.decode(1), name: Name(try row.decode(2)), last: try row.decode(3), state: state,
            executionCount: try row.decode(5))
    }

    private static func indicator(_ row: Row) throws(PQError) -> IndicatorState {
        let label = try row.decode(2, as: String.self)
        return IndicatorState(
            sequence: try row.decode(1), label: label.utf8.isEmpty ? nil : Name(label),
            received: Units(total: try row.decode(3), done: try row.decode(4)),
            counted: Units(total: try row.decode(5), done: try row.decode(6)),
            superseded: Units(total: try row.decode(7), done: try row.decode(8)),
            discarded: Units(total: try row.decode(9), done: try row.decode(10)),
            countedEvents: try row.decode(11), supersededEvents: try row.decode(12),
            updatedAt: Timestamp(try row.decode(13)))
    }
}
