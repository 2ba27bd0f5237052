internal import Ledger
internal import LedgerStore
internal import PQ

/// The state of replays and of their batches in the database, and their locks.
struct ReplayCheckpoints: Sendable {
    let pool: Pool

    /// The row of a replay.
    struct Record: Sendable {
        let id: JobID
        let state: Replay.State
        let policy: CountingPolicy
        let applies: Bool
        /// The failure that the replay is canceled for; nil if it has not failed.
        let error: String?
    }

    /// A job of a replay.
    struct Job: Sendable {
        let id: JobID
        /// Number of events in the live projection when the replay began.
        let events: Int
        /// The number of the projection that was live when the replay began.
        let previous: Int16
        /// The number of the projection to build.
        let projection: Int16
        /// Whether no live projection existed when the replay began.
        let wasMissing: Bool
    }

    /// The replay must not continue.
    struct Interrupted: Error {}

    /// Reads the replay in progress; nil if there is none.
    func current() async throws(PQError) -> Record? {
        let rows = try await pool.query(
            Query(
                """
                select job_id, state, policy, applies, error
                from ledger.replay
                where state in ('running', 'canceling', 'reverting')
                    and \(ClaimQueries.isContinued(of: "replay"))
                    and not \(KnownSchema.isNewer)
                """))
        guard let row = rows.first else { return nil }
        return try Self.decode(row)
    }

    /// Reads replays that have ended but have not been reported as ended.
    ///
    /// Their jobs still run in the ledger, because a process ended in between.
    func unreported() async throws(PQError) -> [Record] {
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
        var ended: [Record] = []
        for row in rows { ended.append(try Self.decode(row)) }
        return ended
    }

    /// Reads a replay.
    func replay(_ id: JobID) async throws(PQError) -> Record {
        try Self.replay(id, in: try await pool.query(Self.query(id)))
    }

    /// Returns the statement that reads the row for ``replay(_:in:)``.
    static func query(_ id: JobID) -> Query {
        Query(
            "select job_id, state, policy, applies, error from ledger.replay where job_id = $1",
            [.uuid(id.uuid)])
    }

    /// Decodes the replay read by ``query(_:)``.
    static func replay(_ id: JobID, in rows: Rows) throws(PQError) -> Record {
        guard let row = rows.first else { throw PQError(.decoding, "replay \(id) no longer exists") }
        return try Self.decode(row)
    }

    private static func decode(_ row: Row) throws(PQError) -> Record {
        var columns = row.columns
        let id = try columns.next(JobID.self)
        guard let state = Replay.State(rawValue: try columns.next()),
            let policy = CountingPolicy(rawValue: try columns.next())
        else { throw PQError(.decoding, "a replay has an unknown state or policy") }
        return Record(
            id: id, state: state, policy: policy, applies: try columns.next(), error: try columns.nextIfPresent())
    }

    /// Throws unless the replay must continue.
    func checkRunning(_ id: JobID) async throws {
        guard try await replay(id).state == .running, !Task.isCancelled else { throw Interrupted() }
    }

    // MARK: Batches

    /// Reads the batches that contain unfinished jobs.
    func openBatches(of replay: JobID) async throws(PQError) -> [Int32] {
        let rows = try await pool.query(
            Query(
                """
                select distinct batch
                from ledger.replay_job
                where replay = $1 and state in ('pending', 'building')
                order by batch
                """, [.uuid(replay.uuid)]))
        var batches: [Int32] = []
        for row in rows { batches.append(try row.decode(0)) }
        return batches
    }

    /// Reads the unfinished jobs of a batch.
    func openJobs(of replay: JobID, batch: Int32) async throws(PQError) -> [Job] {
        try await jobs(
            Query(
                """
                select job_id, events, previous, projection, was_missing
                from ledger.replay_job
                where replay = $1 and batch = $2 and state in ('pending', 'building')
                order by job_id
                """, [.uuid(replay.uuid), .int4(batch)]))
    }

    /// Reads a page of the compared jobs, in the order of their ids.
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
                    .uuid(replay.uuid), .uuid((cursor ?? JobID(high: 0, low: 0)).uuid), .int8(Int64(limit)),
                ]))
    }

    private func jobs(_ query: Query) async throws(PQError) -> [Job] {
        var jobs: [Job] = []
        for row in try await pool.query(query) {
            var columns = row.columns
            jobs.append(
                Job(
                    id: try columns.next(), events: try columns.next(), previous: try columns.next(),
                    projection: try columns.next(), wasMissing: try columns.next()))
        }
        return jobs
    }

    /// Reads the jobs with a live projection behind the sequence of the replay's start.
    func unfolded(_ jobs: [Job]) async throws(PQError) -> [JobID] {
        guard !jobs.isEmpty else { return [] }
        let rows = try await pool.query(
            Query(
                """
                select live.job_id
                from unnest($1::uuid[], $2::bigint[]) as requested (job_id, sequence)
                join ledger.snapshot as live on live.job_id = requested.job_id and live.is_live
                where live.sequence < requested.sequence
                """, [.uuids(jobs.map(\.id.uuid)), .int8s(jobs.map { Int64($0.events) })]))
        var unfolded: [JobID] = []
        for row in rows { unfolded.append(try row.decode(0, as: JobID.self)) }
        return unfolded
    }

    /// Creates the empty projections to build, unless they exist.
    ///
    /// None are created if the replay must not continue. Parts that an interrupted attempt has left under their numbers
    /// are deleted first.
    func createProjections(for jobs: [Job], of replay: JobID) async throws(PQError) {
        let numbers: [Parameter] = [.uuids(jobs.map(\.id.uuid)), .int2s(jobs.map(\.projection))]
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
                    insert into ledger.snapshot (job_id, projection, sequence, is_live, fold_version)
                    select built.job_id, built.projection, 0, false, \(Fold.version)
                    from unnest($1::uuid[], $2::smallint[]) as built (job_id, projection)
                    where exists (
                        select from ledger.replay where replay.job_id = $3 and replay.state = 'running' for share
                    )
                    on conflict (job_id, projection) do nothing
                    """, numbers + [.uuid(replay.uuid)]),
                Query(
                    "update ledger.replay_job set state = 'building' where replay = $1 and job_id = any ($2)",
                    [.uuid(replay.uuid), .uuids(jobs.map(\.id.uuid))]),
            ])
    }

    /// Marks jobs as in progress without creating projections.
    func markBuilding(_ jobs: [Job], of replay: JobID) async throws(PQError) {
        _ = try await pool.query(
            Query(
                "update ledger.replay_job set state = 'building' where replay = $1 and job_id = any ($2)",
                [.uuid(replay.uuid), .uuids(jobs.map(\.id.uuid))]))
    }

    /// Returns the statement that records that these live projections are correct.
    static func matchStatement(_ jobs: [JobID], of replay: JobID) -> Query {
        Query(
            """
            update ledger.replay_job set state = 'compared', difference_count = 0
            where replay = $1 and job_id = any ($2)
            """, [.uuid(replay.uuid), .uuids(jobs.map(\.uuid))])
    }

    /// The tables that contain a projection, except its snapshot.
    private static let parts = ["indicator", "task", "execution", "report_page", "discard"]

    /// Records that a job cannot be replayed, and deletes its built projection.
    func skip(_ job: Job, of replay: JobID, because reason: String) async throws(PQError) {
        _ = try await pool.commit(
            Self.deletionStatements([(job.id, job.projection)]) + [
                Query(
                    """
                    update ledger.replay_job set state = 'skipped', detail = $3 where replay = $1 and job_id = $2
                    """, [.uuid(replay.uuid), .uuid(job.id.uuid), .text(reason)])
            ])
    }

    /// Reads which of these projections exist without being live.
    ///
    /// Every built projection has a snapshot, which is created first. Checking for it costs one index lookup each.
    /// Deleting parts that do not exist would cost a pass over all projections of the database.
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
                [.uuids(projections.map(\.job.uuid)), .int2s(projections.map(\.number))]))
        var stale: [(job: JobID, number: Int16)] = []
        for row in rows { stale.append((try row.decode(0, as: JobID.self), try row.decode(1))) }
        return stale
    }

    /// Returns the statements that delete projections that are not live.
    ///
    /// They must run in one transaction. They lock the snapshots first: a step in progress in another process is waited
    /// for, and none can start after it.
    static func deletionStatements(_ projections: [(job: JobID, number: Int16)]) -> [Query] {
        let numbers: [Parameter] = [.uuids(projections.map(\.job.uuid)), .int2s(projections.map(\.number))]
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

    /// Cancels a replay that cannot continue; its built projections are then deleted.
    ///
    /// - Returns: Whether the replay was still running.
    func fail(_ replay: JobID, _ error: String) async throws(PQError) -> Bool {
        let rows = try await pool.query(
            Query(
                """
                update ledger.replay
                set state = 'canceling', error = $2
                where job_id = $1 and state = 'running'
                """, [.uuid(replay.uuid), .text(String(error.prefix(2_000)))]))
        return rows.affectedRows > 0
    }

    // MARK: Locks

    // The locks belong to a session and not to a transaction. They last as long as the work, and end with the process
    // if it dies.

    /// Tries to take the lock of a part of the replay.
    func lock(_ part: String, of replay: JobID, _ lease: inout Lease) async throws(PQError) -> Bool {
        let tryLock = Query(
            "select pg_try_advisory_lock(hashtextextended($1, 0))", [.text("ledger.replay \(replay) \(part)")])
        do throws(PQError) { return try await lease.query(tryLock)[0].decode(0) } catch {
            // The session may have taken the lock, and would refuse the part to all others.
            await lease.doNotReuse()
            throw error
        }
    }

    /// Releases the lock and returns or throws the result of the work.
    ///
    /// A failure of the work takes precedence over a failure to release the lock.
    func unlock(
        _ part: String, of replay: JobID, _ lease: inout Lease, after result: Result<Void, any Error>
    ) async throws {
        do throws(PQError) {
            _ = try await lease.query(
                Query("select pg_advisory_unlock(hashtextextended($1, 0))", [.text("ledger.replay \(replay) \(part)")]))
        } catch {
            // The session may still hold the lock, and would refuse the part to all others.
            await lease.doNotReuse()
            try result.get()
            throw error
        }
        try result.get()
    }
}
