internal import Ledger
internal import LedgerStore
internal import PQ

/// What the database says of a replay that is under way, and who works on which part of it.
struct ReplayCheckpoints: Sendable {
    let pool: Pool

    /// The replay that is under way.
    struct Current: Sendable {
        let id: JobID
        let state: Replay.State
        let policy: CountingPolicy
        let applies: Bool
        /// What went wrong, where something did: then it is canceled because of that.
        let error: String?
    }

    /// A job of a replay.
    struct Job: Sendable {
        let id: JobID
        /// How many events the live projection held when the replay began.
        let events: Int64
        /// The projection that was live then.
        let previous: Int16
        /// The projection that is built.
        let projection: Int16
        /// Whether there was no live projection when the replay began.
        let wasMissing: Bool
    }

    /// The replay is not to go on.
    struct Interrupted: Error {}

    func current() async throws(PQError) -> Current? {
        let rows = try await pool.query(
            Query(
                """
                select job_id, state, policy, applies, error
                from ledger.replay
                where state in ('running', 'canceling', 'reverting')
                """))
        guard let row = rows.first else { return nil }
        return try Self.current(row)
    }

    /// Replays that have ended while the jobs that tell how far they are do not know it: a process died in between.
    func unreported() async throws(PQError) -> [Current] {
        let rows = try await pool.query(
            Query(
                """
                select replay.job_id, replay.state, replay.policy, replay.applies, replay.error
                from ledger.replay
                join ledger.snapshot on snapshot.job_id = replay.job_id and snapshot.is_live
                join ledger.job_head as head on head.job_id = replay.job_id and head.sequence = snapshot.sequence
                where snapshot.state = 'running'
                    and replay.state in ('applied', 'done', 'reverted', 'canceled', 'failed')
                order by replay.job_id
                """))
        var ended: [Current] = []
        for row in rows { ended.append(try Self.current(row)) }
        return ended
    }

    func replay(_ id: JobID) async throws(PQError) -> Current {
        try Self.replay(id, in: try await pool.query(Self.query(id)))
    }

    /// The statement that reads what ``replay(_:in:)`` decodes.
    static func query(_ id: JobID) -> Query {
        Query(
            "select job_id, state, policy, applies, error from ledger.replay where job_id = $1",
            [.uuid(id.uuidBytes)])
    }

    static func replay(_ id: JobID, in rows: Rows) throws(PQError) -> Current {
        guard let row = rows.first else { throw PQError(.decoding, "replay \(id) is not there any more") }
        return try Self.current(row)
    }

    private static func current(_ row: Row) throws(PQError) -> Current {
        guard let state = Replay.State(rawValue: try row.decode(1)),
            let policy = CountingPolicy(rawValue: try row.decode(2))
        else { throw PQError(.decoding, "a replay has an unknown state or policy") }
        return Current(
            id: JobID(uuid: try row.decode(0)), state: state, policy: policy, applies: try row.decode(3),
            error: try row.decodeIfPresent(4))
    }

    /// Throws unless the replay is to go on.
    func checkRunning(_ id: JobID) async throws {
        guard try await replay(id).state == .running, !Task.isCancelled else { throw Interrupted() }
    }

    // MARK: Batches

    func openBatches(of replay: JobID) async throws(PQError) -> [Int32] {
        let rows = try await pool.query(
            Query(
                """
                select distinct batch
                from ledger.replay_job
                where replay = $1 and state in ('pending', 'building')
                order by batch
                """, [.uuid(replay.uuidBytes)]))
        var batches: [Int32] = []
        for row in rows { batches.append(try row.decode(0)) }
        return batches
    }

    /// Jobs of a batch that are still to be done.
    func openJobs(of replay: JobID, batch: Int32) async throws(PQError) -> [Job] {
        try await jobs(
            Query(
                """
                select job_id, events, previous, projection, was_missing
                from ledger.replay_job
                where replay = $1 and batch = $2 and state in ('pending', 'building')
                order by job_id
                """, [.uuid(replay.uuidBytes), .int4(batch)]))
    }

    /// A part of the jobs that were compared, in the order of their ids.
    func comparedJobs(of replay: JobID, after cursor: JobID?, limit: Int) async throws(PQError) -> [Job] {
        try await jobs(
            Query(
                """
                select job_id, events, previous, projection, was_missing
                from ledger.replay_job
                where replay = $1 and state = 'compared' and job_id > $2
                order by job_id
                limit $3
                """,
                [
                    .uuid(replay.uuidBytes), .uuid((cursor ?? JobID(high: 0, low: 0)).uuidBytes), .int8(Int64(limit)),
                ]))
    }

    private func jobs(_ query: Query) async throws(PQError) -> [Job] {
        var jobs: [Job] = []
        for row in try await pool.query(query) {
            jobs.append(
                Job(
                    id: JobID(uuid: try row.decode(0)), events: try row.decode(1), previous: try row.decode(2),
                    projection: try row.decode(3), wasMissing: try row.decode(4)))
        }
        return jobs
    }

    /// Those of these jobs whose live projection is not yet as far as the ledger was when the replay began.
    func unfolded(_ jobs: [Job]) async throws(PQError) -> [JobID] {
        guard !jobs.isEmpty else { return [] }
        let rows = try await pool.query(
            Query(
                """
                select live.job_id
                from unnest($1::uuid[], $2::bigint[]) as wanted (job_id, sequence)
                join ledger.snapshot as live on live.job_id = wanted.job_id and live.is_live
                where live.sequence < wanted.sequence
                """, [.uuids(jobs.map(\.id.uuidBytes)), .int8s(jobs.map(\.events))]))
        var unfolded: [JobID] = []
        for row in rows { unfolded.append(JobID(uuid: try row.decode(0))) }
        return unfolded
    }

    /// Makes the empty projections that are to be built, unless they are there; none where the replay is not to go on.
    /// Whatever is left under their numbers of something that was broken off is cleared away first.
    func open(_ jobs: [Job], of replay: JobID) async throws(PQError) {
        let numbers: [Parameter] = [.uuids(jobs.map(\.id.uuidBytes)), .int2s(jobs.map(\.projection))]
        let orphans = Self.parts.map { table in
            Query(
                """
                delete from ledger.\(table) as orphan
                using unnest($1::uuid[], $2::smallint[]) as built (job_id, projection)
                where orphan.job_id = built.job_id and orphan.projection = built.projection
                    and not exists (
                        select from ledger.snapshot as owner
                        where owner.job_id = built.job_id and owner.projection = built.projection
                    )
                """, numbers)
        }
        _ = try await pool.commit(
            orphans + [
                Query(
                    """
                    insert into ledger.snapshot (job_id, projection, sequence, is_live)
                    select built.job_id, built.projection, 0, false
                    from unnest($1::uuid[], $2::smallint[]) as built (job_id, projection)
                    where exists (
                        select from ledger.replay where replay.job_id = $3 and replay.state = 'running' for share
                    )
                    on conflict (job_id, projection) do nothing
                    """, numbers + [.uuid(replay.uuidBytes)]),
                Query(
                    "update ledger.replay_job set state = 'building' where replay = $1 and job_id = any ($2)",
                    [.uuid(replay.uuidBytes), .uuids(jobs.map(\.id.uuidBytes))]),
            ])
    }

    /// Notes which jobs are worked on, of which nothing need be stored.
    func begin(_ jobs: [Job], of replay: JobID) async throws(PQError) {
        _ = try await pool.query(
            Query(
                "update ledger.replay_job set state = 'building' where replay = $1 and job_id = any ($2)",
                [.uuid(replay.uuidBytes), .uuids(jobs.map(\.id.uuidBytes))]))
    }

    /// The statement that notes that the live projections of these jobs are right.
    static func agreement(_ jobs: [JobID], of replay: JobID) -> Query {
        Query(
            """
            update ledger.replay_job set state = 'compared', difference_count = 0
            where replay = $1 and job_id = any ($2)
            """, [.uuid(replay.uuidBytes), .uuids(jobs.map(\.uuidBytes))])
    }

    /// The tables of what a projection consists of, beside its snapshot.
    private static let parts = ["indicator", "task", "execution", "report_page", "discard"]

    /// Notes that a job cannot be replayed, and clears away what was built of it.
    func skip(_ job: Job, of replay: JobID, because reason: String) async throws(PQError) {
        _ = try await pool.commit(
            Self.clearing([(job.id, job.projection)]) + [
                Query(
                    """
                    update ledger.replay_job set state = 'skipped', detail = $3 where replay = $1 and job_id = $2
                    """, [.uuid(replay.uuidBytes), .uuid(job.id.uuidBytes), .text(reason)])
            ])
    }

    /// Which of these projections are there without being live.
    ///
    /// Whatever was built has a snapshot, made before it. To look for that costs a look into an index for each; to remove
    /// what is not there would cost a pass over all projections of the database.
    func stale(
        among projections: [(job: JobID, number: Int16)]
    ) async throws(PQError) -> [(job: JobID, number: Int16)] {
        let rows = try await pool.query(
            Query(
                """
                select stale.job_id, stale.projection
                from unnest($1::uuid[], $2::smallint[]) as named (job_id, projection)
                join ledger.snapshot as stale
                    on stale.job_id = named.job_id and stale.projection = named.projection and not stale.is_live
                """,
                [.uuids(projections.map(\.job.uuidBytes)), .int2s(projections.map(\.number))]))
        var stale: [(job: JobID, number: Int16)] = []
        for row in rows { stale.append((JobID(uuid: try row.decode(0)), try row.decode(1))) }
        return stale
    }

    /// The statements that remove projections which are not live, in one transaction. Their snapshots are locked first:
    /// a step that is under way in another process is waited for, and none begins behind it.
    static func clearing(_ projections: [(job: JobID, number: Int16)]) -> [Query] {
        let numbers: [Parameter] = [.uuids(projections.map(\.job.uuidBytes)), .int2s(projections.map(\.number))]
        let lock = Query(
            """
            select 1
            from unnest($1::uuid[], $2::smallint[]) as gone (job_id, projection)
            join ledger.snapshot as stale on stale.job_id = gone.job_id and stale.projection = gone.projection
            where not stale.is_live
            order by stale.job_id, stale.projection
            for update of stale
            """, numbers)
        return [lock]
            + (parts + ["snapshot"]).map { table in
                Query(
                    """
                    delete from ledger.\(table) as stale
                    using unnest($1::uuid[], $2::smallint[]) as gone (job_id, projection)
                    where stale.job_id = gone.job_id and stale.projection = gone.projection
                        and not exists (
                            select from ledger.snapshot as live
                            where live.job_id = gone.job_id and live.projection = gone.projection and live.is_live
                        )
                    """, numbers)
            }
    }

    /// Has a replay that cannot go on clear away what it has built.
    ///
    /// - Returns: Whether it is to.
    func fail(_ replay: JobID, _ error: String) async throws(PQError) -> Bool {
        let rows = try await pool.query(
            Query(
                """
                update ledger.replay
                set state = 'canceling', error = $2
                where job_id = $1 and state = 'running'
                """, [.uuid(replay.uuidBytes), .text(String(error.prefix(2_000)))]))
        return rows.affectedRows > 0
    }

    // MARK: Locks

    // Of a session, not of a transaction: they last as long as the work, and end with the process if it dies.

    func lock(_ part: String, of replay: JobID, _ lease: inout Lease) async throws(PQError) -> Bool {
        let rows = try await lease.query(
            Query("select pg_try_advisory_lock(hashtextextended($1, 0))", [.text("ledger.replay \(replay) \(part)")]))
        return try rows[0].decode(0)
    }

    /// Gives the lock back and hands on what came of the work: that comes first, whatever becomes of the lock.
    func unlock(
        _ part: String, of replay: JobID, _ lease: inout Lease, after result: Result<Void, any Error>
    ) async throws {
        do throws(PQError) {
            _ = try await lease.query(
                Query("select pg_advisory_unlock(hashtextextended($1, 0))", [.text("ledger.replay \(replay) \(part)")]))
        } catch {
            try result.get()
            throw error
        }
        try result.get()
    }
}
