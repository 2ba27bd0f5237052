internal import Ledger
internal import LedgerStore
internal import PQ

/// The statements that compare projections built by a replay with the live ones.
enum ProjectionComparisonStatements {
    /// Maximum number of stored differences of one job; all are counted.
    private static let differencesMax: Int32 = 100

    /// Returns the statement that locks the live snapshots of these jobs.
    ///
    /// The lock lasts until the transaction ends. Workers skip locked snapshots.
    static func lockLive(_ jobs: [JobID]) -> Query {
        Query(
            """
            select 1 from ledger.snapshot
            where job_id = any ($1) and is_live
            order by job_id
            for update
            """, [.uuids(jobs.map(\.uuid))])
    }

    /// The planner settings of a comparison.
    ///
    /// A comparison reads whole projections and needs other plans than lookups by key.
    static let planning = ["enable_hashjoin = on", "plan_cache_mode = force_custom_plan", "work_mem = '64MB'"].map {
        Query("set local \($0)", prepare: false)
    }

    /// Returns the statement that reads the sequences of built and live projections.
    static func sequenceQuery(_ jobs: [ReplayCheckpoints.Job]) -> Query {
        Query(
            """
            select built.job_id, built.sequence, live.sequence
            from unnest($1::uuid[], $2::smallint[]) as requested (job_id, projection)
            join ledger.snapshot as built
                on built.job_id = requested.job_id and built.projection = requested.projection
            join ledger.snapshot as live on live.job_id = built.job_id and live.is_live
            """, [.uuids(jobs.map(\.id.uuid)), .int2s(jobs.map(\.projection))])
    }

    /// Returns the statement that compares the projections and stores the differences.
    static func statements(_ jobs: [ReplayCheckpoints.Job], of replay: JobID) -> [Query] {
        guard !jobs.isEmpty else { return [] }
        return [
            Query(
                comparison,
                [
                    .uuid(replay.uuid), .uuids(jobs.map(\.id.uuid)), .int2s(jobs.map(\.projection)),
                    .int4(differencesMax),
                ])
        ]
    }

    // Every part of both sides becomes a key and a value. A key that does not have two equal values is a difference.
    // The states of estimates are not compared.
    private static let comparison = """
        with side as (
            select live.job_id, live.projection, true as is_live
            from ledger.snapshot as live
            where live.job_id = any ($2) and live.is_live
            union all
            select built.job_id, built.projection, false
            from unnest($2::uuid[], $3::smallint[]) as built (job_id, projection)
        ),
        piece as (
            select
                1 as part_order, 'snapshot' as part, side.job_id, side.is_live, '' as key,
                format(
                    '%s at %s; created %s, started %s, updated %s, finished %s; '
                        || 'tasks: %s running, %s succeeded, %s failed, %s canceled; %s executions; message %s',
                    one.state, one.sequence, one.created_at, one.started_at, one.updated_at, one.finished_at,
                    one.tasks_running, one.tasks_succeeded, one.tasks_failed, one.tasks_canceled, one.executions,
                    coalesce(quote_literal(one.message), 'none')
                ) as value
            from side
            join ledger.snapshot as one on one.job_id = side.job_id and one.projection = side.projection
            union all
            select
                2, 'indicator', side.job_id, side.is_live, one.label,
                format(
                    'counted %s/%s by %s events, superseded %s/%s by %s, discarded %s/%s, received %s/%s; '
                        || 'named by event %s, updated %s; carried %s, unit %s, message %s',
                    one.counted_done, one.counted_total, one.counted_events, one.superseded_done,
                    one.superseded_total, one.superseded_events, one.discarded_done, one.discarded_total,
                    one.received_done, one.received_total, one.sequence, one.updated_at, one.carried_done,
                    coalesce(quote_literal(one.unit), 'none'), coalesce(quote_literal(one.message), 'none')
                )
            from side
            join ledger.indicator as one on one.job_id = side.job_id and one.projection = side.projection
            union all
            select
                3, 'task', side.job_id, side.is_live, one.name,
                format(
                    '%s; began with event %s, its last execution with %s, of %s', one.state, one.sequence, one.last,
                    one.execution_count
                )
            from side
            join ledger.task as one on one.job_id = side.job_id and one.projection = side.projection
            union all
            select
                4, 'execution', side.job_id, side.is_live, one.sequence::text,
                format(
                    'attempt %s, %s, of task %s; %s; started %s, last event %s at %s; superseded by %s; '
                        || 'message in event %s, link in %s; state %s',
                    one.attempt, coalesce(quote_literal(one.name), 'unnamed'), one.task,
                    coalesce(one.outcome, 'running'), one.started_at, one.last_sequence, one.last_at,
                    coalesce(one.superseded_by::text, 'none'), coalesce(one.message_sequence::text, 'none'),
                    coalesce(one.link_sequence::text, 'none'), md5(one.state)
                )
            from side
            join ledger.execution as one on one.job_id = side.job_id and one.projection = side.projection
            union all
            select
                5, 'report_page', side.job_id, side.is_live, 
                case
                    when one.part = '' then format('%s/%s', one.execution, one.page)
                    else format('%s/%s/%s', one.execution, one.part, one.page)
                end, md5(one.entries)
            from side
            join ledger.report_page as one on one.job_id = side.job_id and one.projection = side.projection
            union all
            select
                6, 'discard', side.job_id, side.is_live, one.sequence::text,
                format(
                    '%s, of execution %s, indicator %s: %s/%s; repeats %s', one.verdict, one.execution,
                    one.indicator, one.done, one.total, one.duplicate_of
                )
            from side
            join ledger.discard as one on one.job_id = side.job_id and one.projection = side.projection
        ),
        difference as (
            select
                job_id, part_order, part, key, max(value) filter (where is_live) as live,
                max(value) filter (where not is_live) as replayed
            from piece
            group by job_id, part_order, part, key
            having count(*) <> 2 or min(value) <> max(value)
        ),
        numbered as (
            select
                difference.*, (row_number() over (partition by job_id order by part_order, key))::integer as number
            from difference
        ),
        inserted as (
            insert into ledger.replay_difference (replay, job_id, number, part, key, live, replayed)
            select $1, job_id, number, part, key, live, replayed from numbered where number <= $4
            on conflict (replay, job_id, number) do nothing
        )
        update ledger.replay_job as one
        set
            state = 'compared',
            difference_count = (select count(*) from difference where difference.job_id = one.job_id)
        where one.replay = $1 and one.job_id = any ($2)
        """

    /// Returns the indicators that differ between two counting policies.
    static func differences(_ live: Snapshot, _ replayed: Snapshot) -> [Replay.Finding] {
        func text(_ indicator: Snapshot.Indicator) -> String {
            "counted \(indicator.counted.done)/\(indicator.counted.total)"
        }
        let before = Dictionary(uniqueKeysWithValues: live.indicators.map { ($0.label, text($0)) })
        let after = Dictionary(uniqueKeysWithValues: replayed.indicators.map { ($0.label, text($0)) })
        let labels = live.indicators.map(\.label) + replayed.indicators.map(\.label).filter { before[$0] == nil }
        return labels.filter { before[$0] != after[$0] }.map { label in
            // The job's id is a placeholder: `statements(_:_:of:)` stores the id of its own argument.
            Replay.Finding(
                job: JobID(high: 0, low: 0), part: .indicator, key: label ?? "", live: before[label],
                replayed: after[label])
        }
    }

    /// Returns the statements that store the differences of one job.
    static func statements(_ job: ReplayCheckpoints.Job, _ differences: [Replay.Finding], of replay: JobID) -> [Query] {
        let kept = differences.prefix(Int(differencesMax))
        return [
            Query(
                """
                insert into ledger.replay_difference (replay, job_id, number, part, key, live, replayed)
                select $1, $2, number, part, key, live, replayed
                from unnest($3::text[], $4::text[], $5::text[], $6::text[])
                    with ordinality as found (part, key, live, replayed, number)
                on conflict (replay, job_id, number) do nothing
                """,
                [
                    .uuid(replay.uuid), .uuid(job.id.uuid), .texts(kept.map(\.part.rawValue)),
                    .texts(kept.map(\.key.text)), .texts(kept.map(\.live)), .texts(kept.map(\.replayed)),
                ]),
            Query(
                """
                update ledger.replay_job set state = 'compared', difference_count = $3 where replay = $1 and job_id = $2
                """, [.uuid(replay.uuid), .uuid(job.id.uuid), .int8(Int64(differences.count))]),
        ]
    }
}
