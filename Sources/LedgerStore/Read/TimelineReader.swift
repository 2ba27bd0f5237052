internal import Ledger
internal import PQ

/// Reads the executions of all tasks of a job over time.
///
/// The database aggregates them.
struct TimelineReader: Sendable {
    let pool: Pool

    /// Adds the executions of a job's current snapshot to a timeline.
    ///
    /// One query, which reads all executions of the job: about 300,000 per second.
    func timeline(_ job: JobID, _ timeline: ExecutionTimeline) async throws(PQError) -> ExecutionTimeline {
        let rows = try await pool.query(
            Query(
                Self.statement,
                [
                    .uuid(job.uuid), .timestamps(timeline.bounds), .timestamp(timeline.bounds[0]),
                    .timestamp(timeline.end),
                ]))
        var timeline = timeline
        for row in rows {
            var columns = row.columns
            let isCounted = try columns.next(Bool.self)
            var outcome: ExecutionOutcome?
            if let text = try columns.nextIfPresent(String.self) {
                guard let known = ExecutionOutcome(rawValue: text) else {
                    throw PQError(.decoding, "an execution has an unknown outcome")
                }
                outcome = known
            }
            timeline.add(
                ExecutionTimeline.Group(
                    kind: ExecutionTimeline.Kind(isCounted: isCounted, outcome: outcome),
                    first: Int(try columns.next(Int32.self)) - 1, last: Int(try columns.next(Int32.self)) - 1,
                    count: try columns.next(), starts: try columns.next(), ends: try columns.next()))
        }
        return timeline
    }

    /// The statement that groups executions by their intervals.
    ///
    /// Times outside the timeline are moved to its ends. `width_bucket` finds the interval by its beginning, as
    /// `ExecutionTimeline` does. Tests compare both.
    static let statement = """
        select placed.is_counted, placed.outcome, placed.first, placed.last, count(*),
            (extract(epoch from sum(placed.started - ($2::timestamptz[])[placed.first])) * 1000000)::float8,
            (extract(epoch from sum(placed.ended - ($2::timestamptz[])[placed.last])) * 1000000)::float8
        from (
            select execution.superseded_by is null as is_counted, execution.outcome, span.started, span.ended,
                width_bucket(span.started, $2::timestamptz[]) as first,
                width_bucket(span.ended, $2::timestamptz[]) as last
            from ledger.snapshot as live
            join ledger.execution on execution.job_id = live.job_id and execution.projection = live.projection
            cross join lateral (
                select greatest($3::timestamptz, least($4::timestamptz, execution.started_at)) as started,
                    case
                        when live.state = 'running' and execution.outcome is null and execution.superseded_by is null
                        then $4::timestamptz
                        else greatest($3::timestamptz, least($4::timestamptz, execution.last_at))
                    end as ended
            ) as span
            where live.job_id = $1 and live.is_live
        ) as placed
        group by placed.is_counted, placed.outcome, placed.first, placed.last
        """
}
