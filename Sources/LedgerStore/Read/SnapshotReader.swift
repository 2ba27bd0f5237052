internal import Ledger
internal import PQ
internal import Synchronization

/// Reads jobs with their snapshots in one query, for one job or for a page of jobs.
///
/// The heads determine which jobs exist, not the snapshots. A job without a snapshot is read with an empty one at
/// sequence 0.
struct SnapshotReader: Sendable {
    let pool: Pool
    /// Whether a job without a snapshot was found recently.
    let missing: MissingSnapshots
    let estimates: EstimateReader
    let stalls: StallReader

    /// The columns of a row. The indicators of a job are arrays, in order.
    ///
    /// - Parameters:
    ///   - byState: Whether the jobs are found by the states of their snapshots, and not the snapshots by the jobs.
    ///   - further: Further columns.
    static func columns(
        showing indicators: String = "shown.counted_events > 0", byState: Bool = false, further: String = ""
    ) -> String {
        """
        select
            job.job_id, job.created_at, job.name, job.key, \(TagColumns.joinedColumns),
            head.sequence, \(sequence), \(state), snapshot.created_at, snapshot.started_at,
            snapshot.updated_at, snapshot.finished_at, coalesce(snapshot.tasks_running, 0),
            coalesce(snapshot.tasks_succeeded, 0), coalesce(snapshot.tasks_failed, 0),
            coalesce(snapshot.tasks_canceled, 0), coalesce(snapshot.executions, 0),
            indicator.labels, indicator.counted_totals, indicator.counted_dones, indicator.superseded_totals,
            indicator.superseded_dones, indicator.updated_ats, indicator.carried_dones, indicator.units,
            indicator.messages, snapshot.message, \(projection), head.hash, \(writer), \(isRetired)\(further)
        from ledger.job
        join ledger.job_head as head on head.job_id = job.job_id
        \(byState ? "join ledger.snapshot on snapshot.job_id = job.job_id and snapshot.is_live" : liveSnapshot)
        \(TagColumns.join(of: "job.tags"))
        cross join lateral (
            select
                array_agg(label) as labels,
                array_agg(counted_total) as counted_totals, array_agg(counted_done) as counted_dones,
                array_agg(superseded_total) as superseded_totals, array_agg(superseded_done) as superseded_dones,
                array_agg(updated_at) as updated_ats,
                case when max(carried_done) > 0 then array_agg(carried_done) end as carried_dones,
                case when count(unit) > 0 then array_agg(unit) end as units,
                case when count(message) > 0 then array_agg(message) end as messages
            from (
                select * from ledger.indicator as shown
                where shown.job_id = snapshot.job_id and shown.projection = snapshot.projection
                    and \(indicators)
                order by shown.sequence
            ) as ordered
        ) as indicator
        """
    }

    private static let liveSnapshot = LiveSnapshot.join(of: "head.job_id")
    // The values of a snapshot, and those of a missing one.
    private static let sequence = "coalesce(snapshot.sequence, 0)"
    static let state = "coalesce(snapshot.state, '\(JobState.running.rawValue)')"
    private static let projection = "coalesce(snapshot.projection, \(missingProjection)::smallint)"
    private static let writer = "coalesce(snapshot.xmin, '0'::xid)"
    private static let isRetired = "head.retired_hash is not null"
    /// The number that represents a missing projection. Stored ones begin at 1.
    private static let missingProjection: Int16 = 0

    /// The statement that reads one job. Tests check its plan.
    static let oneJob = "\(columns())\nwhere job.job_id = $1"

    private static let oneJobAttempted =
        "\(columns(showing: "shown.counted_events + shown.superseded_events > 0"))\nwhere job.job_id = $1"

    func job(_ id: JobID) async throws(PQError) -> StampedJob? { try await stamped([id])[id] }

    /// Reads a job without its estimate and stalls.
    func plainJob(_ id: JobID) async throws(PQError) -> JobView? {
        let rows = try await pool.query(Query(Self.oneJob, [.uuid(id.uuid)]))
        guard let row = rows.first else { return nil }
        return try await withHistories([recordingMissing(try Self.decode(row))]).first?.view
    }

    /// Fills in the histories of the snapshots, the estimates and the stalls.
    ///
    /// - Parameter states: The states of estimates that were read with the jobs.
    private func completed(
        _ jobs: [StampedJob], with states: [JobID: Estimated] = [:]
    ) async throws(PQError) -> [StampedJob] {
        // The two need different statements, and neither waits for the other.
        async let withHashes = Result { () async throws(PQError) in try await withHistories(jobs) }
        let found = try await outlooks(of: jobs.map(\.view), with: states)
        var completed = try await withHashes.get()
        for (index, outlook) in zip(completed.indices, found) {
            completed[index].view.estimate = outlook.estimate
            completed[index].view.stalls = outlook.stalls
        }
        return completed
    }

    /// Records whether the snapshot of a job that was read is missing.
    func recordingMissing(_ job: StampedJob) -> StampedJob {
        if job.stamp.projection == Self.missingProjection { missing.note(true) }
        return job
    }

    /// The statement that reads several jobs. Tests check its plan.
    static let severalJobs = "\(columns())\nwhere job.job_id = any($1)"

    func jobs(_ ids: [JobID]) async throws(PQError) -> [JobView] {
        try await stamped(ids).values.map(\.view)
    }

    /// Reads the tags of the existing jobs among these.
    func tags(_ ids: [JobID]) async throws(PQError) -> [JobID: [Name: Name]] {
        let rows = try await pool.query(
            Query(
                "select job_id, \(TagColumns.columns(of: "tags")) from ledger.job where job_id = any($1)",
                [.uuids(ids.map(\.uuid))]))
        var tags: [JobID: [Name: Name]] = [:]
        for row in rows {
            var columns = row.columns
            tags[try columns.next(JobID.self)] = try TagColumns.decode(&columns)
        }
        return tags
    }

    /// Reads the existing jobs among these, with their stamps.
    ///
    /// The states of estimates are read with them, unless recent estimates may serve or there are too many jobs.
    func stamped(_ ids: [JobID]) async throws(PQError) -> [JobID: StampedJob] {
        let recent = ids.count > Self.statesAtOnce ? Set(ids) : estimates.recent.jobs(among: ids, at: .now)
        let (plain, open) = (ids.filter { recent.contains($0) }, ids.filter { !recent.contains($0) })
        let query = Query(Self.severalJobs, [.uuids(plain.map(\.uuid))])
        guard !open.isEmpty else { return try await completedJobs(try await pool.query(query), [:]) }
        let queries = [Query(Self.estimated, [.uuids(open.map(\.uuid))])] + (plain.isEmpty ? [] : [query])
        let results = try await pool.lookUp(queries)
        let states = try await estimated(results[0])
        return try await completedJobs(results.dropFirst().first, states)
    }

    /// Decodes the jobs of these rows, and completes them and those with states.
    private func completedJobs(_ rows: Rows?, _ states: [JobID: Estimated]) async throws(PQError) -> [JobID: StampedJob]
    {
        // A job may have very many indicators.
        let jobs = try await ComputeThreads.run { () throws(PQError) in
            var jobs = states.values.map(\.job)
            if let rows { for row in rows { jobs.append(recordingMissing(try Self.decode(row))) } }
            return jobs
        }
        return Dictionary(
            try await completed(jobs, with: states).map { ($0.view.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Fills in the histories of snapshots that are behind the ledger.
    ///
    /// The history of the others is the hash of the head. This is a separate query because most snapshots are not
    /// behind: inside the other queries the lookup would cost every reader 30 µs, and more with every month.
    private func withHistories(_ jobs: [StampedJob]) async throws(PQError) -> [StampedJob] {
        let behind = jobs.filter(\.isBehind).map { (job: $0.view.id, sequence: $0.stamp.sequence) }
        guard !behind.isEmpty else { return jobs }
        let found = try await histories(behind)
        return jobs.map { job in
            var job = job
            if let history = found[job.view.id] {
                job.view.version?.history = history
                job.stamp.history = history
            }
            return job
        }
    }

    /// Reads the hashes of these events.
    private func histories(_ events: [(job: JobID, sequence: EventSequence)]) async throws(PQError) -> [JobID:
        EventHash]
    {
        let rows = try await pool.query(
            Query(
                """
                select event.job_id, event.hash
                from unnest($1::uuid[], $2::bigint[]) as requested (job_id, sequence)
                join ledger.event on event.job_id = requested.job_id and event.sequence = requested.sequence
                """, [.uuids(events.map(\.job.uuid)), .sequences(events.map(\.sequence))]))
        var found: [JobID: EventHash] = [:]
        for row in rows { found[try row.decode(0, as: JobID.self)] = try row.decode(1, as: EventHash.self) }
        return found
    }

    /// The statement that reads stamps. Tests check its plan.
    static let stamps = """
        select head.job_id, head.sequence, head.hash, \(sequence), \(projection), \(writer), \(isRetired)
        from ledger.job_head as head
        \(liveSnapshot)
        where head.job_id = any($1)
        """

    /// Reads the stamps of the existing jobs among these.
    func stamps(_ ids: [JobID]) async throws(PQError) -> [JobID: SnapshotStamp] {
        var stamps: [JobID: SnapshotStamp] = [:]
        for row in try await pool.query(Query(Self.stamps, [.uuids(ids.map(\.uuid))])) {
            stamps[try row.decode(0, as: JobID.self)] = SnapshotStamp(
                ledgerSequence: try row.decode(1), head: try row.decode(2, as: EventHash.self),
                sequence: try row.decode(3),
                projection: try row.decode(4), writer: try row.decode(5), isRetired: try row.decode(6))
        }
        let behind = stamps.filter { $0.value.sequence < $0.value.ledgerSequence }
        if !behind.isEmpty {
            let found = try await histories(behind.map { (job: $0.key, sequence: $0.value.sequence) })
            for (job, history) in found { stamps[job]?.history = history }
        }
        return stamps
    }

    /// Reads a job with the units that all executions attempted for each indicator.
    func jobCountingAll(_ id: JobID) async throws(PQError) -> JobView? {
        let rows = try await pool.query(Query(Self.oneJobAttempted, [.uuid(id.uuid)]))
        guard let row = rows.first else { return nil }
        guard var view = try await withHistories([recordingMissing(try Self.decode(row))]).first?.view else {
            return nil
        }
        for index in view.snapshot.indicators.indices {
            view.snapshot.indicators[index].counted = view.snapshot.indicators[index].attempted
        }
        return view
    }

    /// Reads a page of jobs.
    ///
    /// The cost depends on the size of the page if the filter is empty or has states, times, a name or a key. With tags
    /// or a search, the query may read all jobs.
    func jobs(
        _ filter: JobFilter, in order: JobFilter.Order, limit: Int, after cursor: JobID?
    ) async throws(PQError) -> [JobView] {
        let list = JobListQuery(filter, in: order, limit: limit, after: cursor, isSnapshotMissing: missing.isKnown)
        let rows = try await list.usesStateIndex ? pool.lookUp([list.query])[0] : pool.query(list.query)
        var jobs: [StampedJob] = []
        for row in rows { jobs.append(recordingMissing(try Self.decode(row))) }
        return try await completed(jobs).map(\.view)
    }

    private static func decode(_ row: Row) throws(PQError) -> StampedJob {
        var columns = row.columns
        return try decode(&columns)
    }

    static func decode(_ columns: inout RowColumns) throws(PQError) -> StampedJob {
        let id = try columns.next(JobID.self)
        let createdAt = try columns.next(Timestamp.self)
        let description = JobDescription(
            name: try columns.next(), key: try columns.nextIfPresent(), tags: try TagColumns.decode(&columns))
        let ledgerSequence = try columns.next(EventSequence.self)
        let sequence = try columns.next(EventSequence.self)
        guard let state = JobState(rawValue: try columns.next()) else {
            throw PQError(.decoding, "a snapshot has an unknown state")
        }
        var snapshot = Snapshot(
            sequence: sequence, state: state, createdAt: try columns.nextIfPresent(),
            startedAt: try columns.nextIfPresent(), updatedAt: try columns.nextIfPresent(),
            finishedAt: try columns.nextIfPresent(), tasks: try tasks(&columns).shown(in: state),
            indicators: try indicators(&columns))
        snapshot.message = try columns.nextIfPresent()
        let projection = try columns.next(Int16.self)
        let stamp = SnapshotStamp(
            ledgerSequence: ledgerSequence, head: try columns.next(), sequence: sequence, projection: projection,
            writer: try columns.next(), isRetired: try columns.next())
        let view = JobView(
            id: id, description: description, createdAt: createdAt, ledgerSequence: ledgerSequence, snapshot: snapshot,
            isRetired: stamp.isRetired, version: JobView.Version(projection: projection, history: stamp.history))
        return StampedJob(view: view, stamp: stamp)
    }

    private static func tasks(_ columns: inout RowColumns) throws(PQError) -> TaskCounts {
        var tasks = TaskCounts()
        tasks.running = try columns.next()
        tasks.succeeded = try columns.next()
        tasks.failed = try columns.next()
        tasks.canceled = try columns.next()
        tasks.executions = try columns.next()
        return tasks
    }

    /// The number of columns of the indicators.
    private static let indicatorColumnCount = 9

    private static func indicators(_ columns: inout RowColumns) throws(PQError) -> [Snapshot.Indicator] {
        guard let labels = try columns.nextIfPresent([Name].self) else {
            columns.skip(indicatorColumnCount - 1)
            return []
        }
        let countedTotals = try columns.next([Int128].self)
        let countedDones = try columns.next([Int128].self)
        let supersededTotals = try columns.next([Int128].self)
        let supersededDones = try columns.next([Int128].self)
        let updatedAts = try columns.next([Timestamp].self)
        // Null if no indicator has a value.
        let carried = try columns.nextIfPresent([Int128].self)
        let units = try columns.nextIfPresent([Name?].self)
        let messages = try columns.nextIfPresent([Name?].self)
        return labels.indices.map { index in
            let counted = Units(total: countedTotals[index], done: countedDones[index])
            let superseded = Units(total: supersededTotals[index], done: supersededDones[index])
            return Snapshot.Indicator(
                label: labels[index].text.utf8.isEmpty ? nil : labels[index], counted: counted,
                attempted: counted + superseded, carried: carried?[index] ?? 0, updatedAt: updatedAts[index],
                unit: units?[index], message: messages?[index])
        }
    }
}

/// A flag that a job without a snapshot was found recently in this process.
///
/// A projection may be dropped at any time, and a worker creates missing snapshots again within seconds. Until then a
/// list of running jobs is read in the order of all jobs, because the index by state does not contain those jobs.
package final class MissingSnapshots: Sendable {
    private let isSeen = Atomic(false)

    package init() {}

    /// Whether a missing snapshot was found and not yet restored.
    var isKnown: Bool { isSeen.load(ordering: .relaxed) }

    /// Records that a snapshot is missing, or that a check of all jobs found none.
    package func note(_ isMissing: Bool) { isSeen.store(isMissing, ordering: .relaxed) }
}

extension StampedJob {
    /// Whether the snapshot is behind the ledger.
    fileprivate var isBehind: Bool { stamp.sequence < stamp.ledgerSequence }
}

extension Result where Success: Sendable, Failure == PQError {
    /// Runs the closure and keeps its result or its error.
    fileprivate init(_ body: () async throws(PQError) -> Success) async {
        do throws(PQError) { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
