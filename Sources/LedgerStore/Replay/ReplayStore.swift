internal import Ledger
internal import PQ

/// Stores and reads the replays. The projection module carries them out.
struct ReplayStore: Sendable {
    let pool: Pool

    /// The number of events in a batch. A larger job is a separate batch.
    private static let batchEvents: Int64 = 200_000
    /// The number of events that each job adds to a batch on top of its own events.
    private static let jobWeight: Int64 = 100

    /// Records a requested replay with the current jobs of the ledger.
    ///
    /// A job whose live projection is missing gets an empty one, and counts as a difference.
    ///
    /// - Parameter id: The job that shows the replay's progress, which is not replayed itself.
    /// - Returns: Whether it is recorded, perhaps by another server. Only one replay may be in progress.
    func start(_ request: Replay.Request, as id: JobID) async throws(PQError) -> Bool {
        do throws(PQError) {
            let restored = try await SnapshotRestorer(pool: pool).restore(request.job.map { [$0] })
            _ = try await pool.commit(Self.condensingOldReplays, deadline: .seconds(300))
            _ = try await pool.commit(
                [
                    Query(
                        """
                        insert into ledger.replay (job_id, only_job, applies, policy, fold_version, retired_jobs)
                        select $1, $2, $3, $4, \(Fold.version), count(*) from ledger.retirement
                        """,
                        [
                            .uuid(id.uuid), .uuid(request.job?.uuid), .bool(request.applies),
                            .text(request.policy.rawValue),
                        ]),
                    // A new projection gets the lowest number under which nothing is stored for its job.
                    Query(
                        """
                        insert into ledger.replay_job (
                            replay, job_id, events, previous, projection, was_missing, batch
                        )
                        select
                            $1, one.job_id, one.events, one.projection, \(SnapshotRestorer.freeNumber(of: "one.job_id")),
                            one.was_missing,
                            (
                                coalesce(
                                    sum(one.events + $3::bigint) over (
                                        order by one.job_id rows between unbounded preceding and 1 preceding
                                    ), 0
                                ) / $4::bigint
                            )::integer
                        from (
                            -- A job is created with a snapshot at 1, so only a dropped projection is at 0. One that was
                            -- restored just now may have been folded since.
                            select
                                live.job_id, live.projection,
                                live.sequence = 0 or live.job_id = any ($5) as was_missing,
                                case when live.sequence = 0 or live.job_id = any ($5)
                                    then head.sequence else live.sequence end as events
                            from ledger.snapshot as live
                            join ledger.job_head as head on head.job_id = live.job_id and head.retired_hash is null
                            where live.is_live and live.job_id <> $1 and ($2::uuid is null or live.job_id = $2)
                        ) as one
                        """,
                        [
                            .uuid(id.uuid), .uuid(request.job?.uuid), .int8(Self.jobWeight), .int8(Self.batchEvents),
                            .uuids(restored.map(\.uuid)),
                        ]),
                    Query(
                        """
                        insert into ledger.replay_difference (replay, job_id, number, part, key, live, replayed)
                        select replay, job_id, 0, 'snapshot', '', null, format('%s events', events)
                        from ledger.replay_job
                        where replay = $1 and was_missing
                        """, [.uuid(id.uuid)]),
                ], deadline: .seconds(300))
            return true
        } catch {
            // Another server has begun it.
            if error.violates("replay_pkey") { return true }
            if error.violates("replay_under_way") { return false }
            throw error
        }
    }

    /// Whether a newer version of the fold has written a live projection.
    func hasNewerProjections() async throws(PQError) -> Bool {
        let rows = try await pool.query(
            Query(
                "select exists (select from ledger.snapshot where is_live and fold_version > \(Fold.version))"),
            deadline: .seconds(60))
        return try rows[0].decode(0)
    }

    /// The number of latest replays that keep their list of jobs.
    ///
    /// Older replays keep only counts.
    private static let listedMax: Int64 = 20

    /// The statements that count the jobs of old replays and delete their rows.
    ///
    /// Otherwise a row for each job and each replay would stay forever. Replays that keep projections are not included,
    /// and differences stay.
    private static let condensingOldReplays = [
        Query(
            """
            update ledger.replay
            set jobs = part.jobs, jobs_done = part.jobs_done, events = part.events, events_done = part.events_done,
                skipped = part.skipped, differences = part.differences
            from (
                select one.replay, \(counts(eventsOfBuilding: "0"))
                from ledger.replay_job as one
                where one.replay in (
                    select job_id from ledger.replay
                    where jobs is null and not keeps
                        and state in ('applied', 'done', 'reverted', 'canceled', 'failed')
                        and job_id not in (select job_id from ledger.replay order by job_id desc limit $1)
                )
                group by one.replay
            ) as part
            where part.replay = replay.job_id
            """, [.int8(listedMax)]),
        Query(
            """
            delete from ledger.replay_job
            where replay in (select job_id from ledger.replay where jobs is not null) and state <> 'skipped'
            """),
    ]

    /// The expression that counts the jobs of a replay, which are called `one`.
    private static func counts(eventsOfBuilding: String) -> String {
        """
        count(*) as jobs, count(*) filter (where one.state in ('compared', 'skipped')) as jobs_done,
        coalesce(sum(one.events), 0)::bigint as events,
        coalesce(
            sum(
                case
                    when one.state in ('compared', 'skipped') then one.events
                    when one.state = 'building' then \(eventsOfBuilding)
                end
            ), 0
        )::bigint as events_done,
        count(*) filter (where one.state = 'skipped') as skipped,
        coalesce(sum(one.difference_count + one.was_missing::integer), 0)::bigint as differences
        """
    }

    /// Reads a replay with its findings, or returns `nil` if it does not exist.
    func replay(_ id: JobID) async throws(PQError) -> Replay? {
        let results = try await pool.pipeline([
            Query("\(Self.summary) where replay.job_id = $1", [.uuid(id.uuid)]),
            Query(
                """
                select job_id, part, key, live, replayed
                from ledger.replay_difference
                where replay = $1
                order by job_id, number
                limit $2
                """, [.uuid(id.uuid), .int8(Int64(Replay.differencesMax))]),
            Query(
                """
                select job_id, detail
                from ledger.replay_job
                where replay = $1 and state = 'skipped'
                order by job_id
                limit $2
                """, [.uuid(id.uuid), .int8(Int64(Replay.skipsMax))]),
        ])
        guard let row = results[0].first else { return nil }
        var replay = try Self.replay(row)
        for row in results[1] {
            var columns = row.columns
            let job = try columns.next(JobID.self)
            guard let part = Replay.Finding.Part(rawValue: try columns.next()) else {
                throw PQError(.decoding, "a difference has an unknown part")
            }
            replay.differences.append(
                Replay.Finding(
                    job: job, part: part, key: try columns.next(), live: try columns.nextIfPresent(),
                    replayed: try columns.nextIfPresent()))
        }
        for row in results[2] {
            replay.skips.append(
                Replay.Skip(
                    job: try row.decode(0, as: JobID.self),
                    reason: try row.decodeIfPresent(1) ?? "the reason is unknown"))
        }
        return replay
    }

    /// Reads replays, newest first, without their findings.
    func replays(limit: Int) async throws(PQError) -> [Replay] {
        let rows = try await pool.query(
            Query("\(Self.summary) order by replay.job_id desc limit $1", [.int8(Int64(limit))]))
        var replays: [Replay] = []
        for row in rows { replays.append(try Self.replay(row)) }
        return replays
    }

    /// Deletes the projections of an ended replay that are not live.
    ///
    /// They can then no longer be reverted to. Projections that a later replay needs stay, and so does the list of jobs
    /// and differences.
    ///
    /// - Returns: Whether the replay had ended. One that is being reverted keeps what it needs.
    func deleteData(_ id: JobID) async throws(PQError) -> Bool {
        // This is the first statement, so that no new request to revert starts.
        let ended = try await pool.query(
            Query(
                """
                update ledger.replay
                set keeps = false
                where job_id = $1 and state in ('applied', 'done', 'reverted', 'canceled', 'failed')
                """, [.uuid(id.uuid)]))
        guard ended.affectedRows == 1 else { return false }
        var cursor: JobID?
        repeat { cursor = try await deletePage(id, after: cursor) } while cursor != nil
        return true
    }

    /// The number of jobs that are deleted in one transaction.
    private static let deletedAtOnce = 500

    private func deletePage(_ id: JobID, after cursor: JobID?) async throws(PQError) -> JobID? {
        let rows = try await pool.query(
            Query(
                """
                select one.job_id, one.previous, one.projection
                from ledger.replay_job as one
                where one.replay = $1 and one.job_id > $2
                order by one.job_id
                limit $3
                """,
                [
                    .uuid(id.uuid), .uuid((cursor ?? JobID(high: 0, low: 0)).uuid),
                    .int8(Int64(Self.deletedAtOnce)),
                ]))
        var jobs: [UUIDBytes?] = []
        var numbers: [Int16?] = []
        for row in rows {
            for column in [1, 2] {
                jobs.append(try row.decode(0))
                numbers.append(try row.decode(column))
            }
        }
        // The rows are locked first, to wait for a step in progress. Projections that another replay keeps are left
        // alone.
        let stale = """
            unnest($1::uuid[], $2::smallint[]) as gone (job_id, projection)
            join ledger.snapshot as kept
                on kept.job_id = gone.job_id and kept.projection = gone.projection and not kept.is_live
            where not exists (
                select from ledger.replay as needing
                join ledger.replay_job as other on other.replay = needing.job_id and other.job_id = gone.job_id
                where needing.job_id <> $3 and gone.projection in (other.previous, other.projection)
                    and (needing.keeps or needing.state in ('running', 'canceling', 'reverting'))
            )
            """
        let parameters: [Parameter] = [.uuids(jobs), .int2s(numbers), .uuid(id.uuid)]
        _ = try await pool.commit(
            [Query("select 1 from \(stale) order by kept.job_id, kept.projection for update of kept", parameters)]
                + ["indicator", "task", "execution", "report_page", "discard", "snapshot"].map { table in
                    Query(
                        """
                        delete from ledger.\(table)
                        where (job_id, projection) in (select kept.job_id, kept.projection from \(stale))
                        """, parameters)
                }, deadline: .seconds(300))
        return rows.count == Self.deletedAtOnce ? try rows[rows.count - 1].decode(0, as: JobID.self) : nil
    }

    /// Moves a replay from one of these states to another.
    ///
    /// - Parameter keeping: Whether the replay must still keep the previous projections.
    /// - Returns: Whether it was in one of these states.
    func changeState(
        _ id: JobID, from states: [Replay.State], to state: Replay.State, keeping: Bool = false
    ) async throws(PQError) -> Bool {
        do throws(PQError) {
            let rows = try await pool.query(
                Query(
                    """
                    update ledger.replay set state = $3
                    where job_id = $1 and state = any ($2) and (keeps or not $4)
                    returning 1
                    """,
                    [.uuid(id.uuid), .texts(states.map(\.rawValue)), .text(state.rawValue), .bool(keeping)]))
            return !rows.isEmpty
        } catch {
            if error.violates("replay_under_way") { return false }
            throw error
        }
    }

    // For a job that is being built, its new snapshot shows the progress.
    private static let summary = """
        select
            replay.job_id, replay.only_job, replay.policy, replay.state, replay.applies, replay.created_at,
            replay.finished_at, replay.error, replay.retired_jobs, coalesce(replay.jobs, part.jobs),
            coalesce(replay.jobs_done, part.jobs_done), coalesce(replay.events, part.events),
            coalesce(replay.events_done, part.events_done), coalesce(replay.skipped, part.skipped), replay.keeps,
            coalesce(replay.differences, part.differences)
        from ledger.replay
        cross join lateral (
            select \(counts(eventsOfBuilding: "least(one.events, built.sequence)"))
            from ledger.replay_job as one
            left join ledger.snapshot as built
                on one.state = 'building' and built.job_id = one.job_id and built.projection = one.projection
            where one.replay = replay.job_id
        ) as part
        """

    private static func replay(_ row: Row) throws(PQError) -> Replay {
        var columns = row.columns
        let id = try columns.next(JobID.self)
        let job = try columns.nextIfPresent(JobID.self)
        guard let policy = CountingPolicy(rawValue: try columns.next()),
            let state = Replay.State(rawValue: try columns.next())
        else { throw PQError(.decoding, "a replay has an unknown policy or state") }
        return Replay(
            id: id, request: Replay.Request(job: job, policy: policy, applies: try columns.next()), state: state,
            createdAt: try columns.next(), finishedAt: try columns.nextIfPresent(),
            error: try columns.nextIfPresent(), retiredJobs: try columns.next(), jobs: try count(&columns),
            events: try count(&columns),
            skippedJobs: try columns.next(), keeps: try columns.next(), differenceCount: try columns.next(),
            differences: [])
    }

    private static func count(_ columns: inout RowColumns) throws(PQError) -> Replay.Count {
        Replay.Count(total: try columns.next(), done: try columns.next())
    }
}
