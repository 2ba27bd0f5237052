internal import Ledger
internal import LedgerWire
internal import PQ

/// Counts jobs by name.
///
/// The cost is bounded: it reads the newest jobs that are running and the newest that have failed, by an index. Of the
/// running ones that have been quiet for unusually long, it examines a limited number in detail.
struct JobCountReader: Sendable {
    /// The maximum number of jobs in each of the two states, the newest ones.
    ///
    /// A ledger may contain any number of jobs that were never finished.
    static let jobsMax = 10_000
    /// The maximum number of jobs that are examined in detail, the newest ones.
    ///
    /// The detail of one takes about half a millisecond. The counts are read at most every 15 s, so this is a sixtieth
    /// of a processor.
    static let examinedMax = 500

    let pool: Pool
    let snapshots: SnapshotReader
    /// The maximum number of jobs that are examined in detail.
    var examinedMax = JobCountReader.examinedMax

    /// Counts the jobs.
    func counts() async throws(PQError) -> JobCountsByName {
        let results = try await pool.lookUp([Self.running, Self.failed])
        let now = Timestamp.now
        var counts: [Name: JobCounts] = [:]
        var quiet: [JobID: Name] = [:]
        for row in results[0] {
            let job = try RunningJob(row)
            counts[job.description.name, default: JobCounts()].running += 1
            if let deadline = job.description.deadline, deadline < now {
                counts[job.description.name, default: JobCounts()].late += 1
            }
            if quiet.count < examinedMax, job.mayBeStalled(at: now) { quiet[job.id] = job.description.name }
        }
        for job in try await snapshots.stalled(among: Array(quiet.keys)) {
            if let name = quiet[job] { counts[name, default: JobCounts()].stalled += 1 }
        }
        for row in results[1] {
            let name = try row.decode(0, as: Name.self)
            counts[name, default: JobCounts()].failed = try row.decode(1)
        }
        return JobCountsByName(counts)
    }

    /// A running job, as the statement ``running`` returns it.
    private struct RunningJob {
        let id: JobID
        /// The name, and the tag with the deadline.
        let description: JobDescription
        /// The part of its state of estimates that concerns the job as a whole, encoded.
        private let state: [UInt8]?

        init(_ row: Row) throws(PQError) {
            var columns = row.columns
            id = try columns.next()
            let name = try columns.next(Name.self)
            let deadline = try columns.nextIfPresent(Name.self)
            state = try columns.nextIfPresent()
            description = JobDescription(name: name, tags: deadline.map { [JobDescription.deadlineTag: $0] } ?? [:])
        }

        /// Whether it has not advanced for so long that it must be examined.
        ///
        /// A state that must first be built says nothing, and neither does a missing one.
        func mayBeStalled(at now: Timestamp) -> Bool {
            state.flatMap { EstimateState(stored: $0) }.map { StallDetector.mayBeStalled($0, at: now) } ?? false
        }
    }

    /// The condition, order and limit of the newest jobs in a state.
    ///
    /// Ordered by a range of states, they are read by the index of states. With an equality PostgreSQL may prefer to
    /// read all jobs and filter them.
    private static func newest(_ state: JobState) -> String {
        """
        where is_live and state between '\(state.rawValue)' and '\(state.rawValue)'
        order by state, job_id desc
        limit $1
        """
    }

    /// The running jobs, newest first.
    private static let running = Query(
        """
        select running.job_id, job.name, job.tags ->> '\(JobDescription.deadlineTag.text)', running.estimate
        from (
            select job_id, state, estimate from ledger.snapshot
            \(newest(.running))
        ) as running
        cross join lateral (
            select name, tags from ledger.job as found where found.job_id = running.job_id limit 1
        ) as job
        order by running.state, running.job_id desc
        """, [.int8(Int64(jobsMax))])

    /// The jobs that have failed within an hour, by name.
    private static let failed = Query(
        """
        select job.name, count(*)
        from (
            select job_id, finished_at from ledger.snapshot
            \(newest(.failed))
        ) as failed
        cross join lateral (select name from ledger.job as found where found.job_id = failed.job_id limit 1) as job
        where failed.finished_at > clock_timestamp() - interval '1 hour'
        group by 1
        """, [.int8(Int64(jobsMax))])
}
