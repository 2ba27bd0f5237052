internal import Ledger
internal import PQ

/// Counts jobs by name.
///
/// The cost is bounded: it reads the newest jobs that are running and the newest that have failed, by an index, and a
/// limited number of indicators of each running job.
struct JobCountReader: Sendable {
    /// The maximum number of jobs in each of the two states, the newest ones.
    ///
    /// A ledger may contain any number of jobs that were never finished.
    static let jobsMax = 10_000
    /// The maximum number of indicators of a job.
    private static let indicatorsMax = 100
    /// The seconds without a change after which a job counts as stalled.
    ///
    /// The count is taken by one query over very many jobs, which cannot look at the pattern of each one.
    private static let stalledSeconds = 60.0

    let pool: Pool

    /// Counts the jobs.
    func counts() async throws(PQError) -> JobCountsByName {
        let results = try await pool.lookUp([Self.running, Self.failed])
        var counts: [Name: JobCounts] = [:]
        for row in results[0] {
            var columns = row.columns
            let name = try columns.next(Name.self)
            counts[name] = JobCounts(
                running: try columns.next(), stalled: try columns.next(), late: try columns.next())
        }
        for row in results[1] {
            let name = try row.decode(0, as: Name.self)
            counts[name, default: JobCounts()].failed = try row.decode(1)
        }
        return JobCountsByName(counts)
    }

    /// The time in the tag `ledger.deadline`; null without a valid one.
    ///
    /// The tag is text of the caller. A cast would fail for other texts. A path reports no errors if it is silent; it
    /// reads no fractions of a second.
    private static let deadline = """
        case when job.tags ? 'ledger.deadline' then (
            jsonb_path_query_first_tz(
                to_jsonb(
                    regexp_replace(
                        regexp_replace(upper(job.tags ->> 'ledger.deadline'), '\\.\\d+', ''), 'Z$', '+00:00')),
                '$.datetime("YYYY-MM-DD\\"T\\"HH24:MI:SSTZH:TZM")', '{}', true
            ) #>> '{}'
        )::timestamptz end
        """

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

    /// The running jobs, by name.
    private static let running = Query(
        """
        select
            job.name, count(*),
            count(*) filter (where progress.updated_at < clock_timestamp() - make_interval(secs => $3)),
            count(*) filter (where \(deadline) < clock_timestamp())
        from (
            select job_id, projection from ledger.snapshot
            \(newest(.running))
        ) as running
        cross join lateral (
            select name, tags from ledger.job as found where found.job_id = running.job_id limit 1
        ) as job
        cross join lateral (
            -- The last change of an indicator that has begun and has not ended.
            select max(updated_at) as updated_at
            from (
                select updated_at, counted_total, counted_done from ledger.indicator as found
                where found.job_id = running.job_id and found.projection = running.projection
                    and found.counted_events > 0
                order by found.sequence
                limit $2
            ) as shown
            where counted_done > 0 and counted_done < counted_total
        ) as progress
        group by 1
        """,
        [
            .int8(Int64(jobsMax)), .int8(Int64(indicatorsMax)),
            .float8(stalledSeconds),
        ])

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
