internal import Ledger
internal import LedgerStore
internal import PQ

/// One step of the projection: claims jobs that are behind, folds their next events, and stores state, snapshot and
/// checkpoint in the same transaction. Killed at any moment, it has done all of it or nothing.
struct ProjectionStep {
    let pool: Pool
    let settings: ProjectionSettings

    /// What a step has done.
    struct Result {
        /// The snapshots that have moved, and how far: one at which a damaged state was met, up to the prefix before.
        var folded: [(job: JobID, sequence: Int64)] = []
        /// Jobs that have more events still, since a step takes only so many.
        var unfinished: [JobID] = []
        /// Jobs that could not be claimed or were not behind: which of both, a look tells.
        var unclaimed: [JobID] = []
        /// Jobs whose state cannot be read: they need a replay.
        var damaged: [(job: JobID, error: FoldStateError)] = []
        /// How many events were folded.
        var eventCount = 0
    }

    /// Has the commit of a step not wait for the disk; takes no round trip of its own.
    ///
    /// The events are on the disk, and folding them again gives the same. Where PostgreSQL crashes soon after a step (three
    /// times its `wal_writer_delay`, 0.6 s unless set otherwise), all that the step stored may be undone, its checkpoint
    /// with it, and the job is behind again. Whatever was committed by somebody who has seen it is later in the log, so it
    /// survives only together with it. What is kept in memory survives without it, and must not be believed.
    private static let notWaitingForDisk = Query("set local synchronous_commit = off", prepare: false)

    /// Runs the step for these jobs. Three round trips, mostly: claim and read events, read states, store and commit. Events
    /// that touch very many executions are folded in portions, each with two round trips.
    ///
    /// What it has committed is seen by all at once, and is on the disk a little later.
    ///
    /// - Parameter projections: The projection of each job that is to be folded, as far as the live one is; nil for the
    ///   live ones themselves.
    func run(_ jobs: [JobID], into projections: [Int16]? = nil) async throws -> Result {
        let eventsMax = min(settings.eventsPerJobMax, max(1, settings.eventsPerStepMax / max(1, jobs.count)))
        return try await pool.withTransaction { transaction in
            let claim =
                projections.map { besideQuery(jobs, $0, eventsMax: eventsMax) }
                ?? claimQuery(jobs, eventsMax: eventsMax)
            let claimed = try await transaction.pipeline([IndexedLookup.planning, Self.notWaitingForDisk, claim])
            var claims = try await compute { () throws(PQError) in try ClaimedJobs(claimed[2], wanted: jobs) }
            var result = Result()
            let ids = Set(claims.jobs.map(\.id))
            result.unclaimed = jobs.filter { !ids.contains($0) }
            let full = claims.jobs.filter { $0.events.count == eventsMax }.map(\.id)
            while !claims.jobs.isEmpty {
                let statements = try await fold(&claims, in: &transaction, into: &result)
                if claims.jobs.isEmpty {
                    _ = try await transaction.commit(after: statements)
                } else {
                    _ = try await transaction.pipeline(statements)
                }
            }
            let damaged = Set(result.damaged.map(\.job))
            result.unfinished = full.filter { !damaged.contains($0) }
            return result
        }
    }

    /// Takes a prefix of what was claimed, reads the states that it touches, and folds it.
    ///
    /// - Returns: What stores it.
    private func fold(
        _ claims: inout ClaimedJobs, in transaction: inout Transaction, into result: inout Result
    ) async throws -> [Query] {
        var prefix = claims
        if claims.eventCount > settings.executionsPerPortionMax {
            let (whole, executionsMax) = (claims, settings.executionsPerPortionMax)
            (prefix, claims) = await compute { whole.prefix(executionsMax: executionsMax) }
        } else {
            // An event touches one execution at most.
            claims = .none
        }
        try prefix.restore(try await transaction.pipeline(StateQueries.needed(by: prefix)))
        let further = StateQueries.neededFurther(by: prefix)
        if !further.isEmpty { try prefix.restoreFurther(try await transaction.pipeline(further)) }

        let restored = prefix
        let (changes, damaged, statements) = await compute {
            var prefix = restored
            let (changes, damaged) = prefix.foldEvents()
            return (changes, damaged, StateChanges.statements(changes))
        }
        for change in changes {
            claims.continueFolding(with: change.job, from: change.changes.progress)
            // The second prefix of a job that was divided.
            if result.folded.last?.job == change.job { result.folded.removeLast() }
            result.folded.append((change.job, change.changes.progress.sequence))
            result.eventCount += change.eventCount
        }
        for (job, _) in damaged { claims.continueFolding(with: job, from: nil) }
        result.damaged += damaged
        return statements
    }

    /// Runs what takes its time away from the reactor's thread, on which everybody's connections live.
    private func compute<R: Sendable, Failure: Error>(
        _ body: @Sendable () throws(Failure) -> R
    ) async throws(Failure) -> R {
        let result: Swift.Result<R, Failure> = await withTaskExecutorPreference(globalConcurrentExecutor) {
            do throws(Failure) { return .success(try body()) } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// ClaimedJobs the jobs that are behind and that no other worker holds, and reads their next events: one query, to be run
    /// after ``IndexedLookup/planning``.
    ///
    /// A job whose snapshot another worker holds is skipped, not waited for, so the order of the locks does not matter.
    /// They last until the commit: the checkpoint that is read here is the one that is replaced there.
    private func claimQuery(_ jobs: [JobID], eventsMax: Int) -> Query {
        Query(
            """
            select \(ClaimedJobs.columns)
            from unnest($1::uuid[]) with ordinality as wanted (job_id, number)
            cross join lateral (
                select sequence from ledger.job_head as found where found.job_id = wanted.job_id limit 1
            ) as head
            cross join lateral (
                select snapshot.* from ledger.snapshot
                where snapshot.job_id = wanted.job_id and snapshot.is_live and snapshot.sequence < head.sequence
                order by snapshot.projection
                limit 1
                for update of snapshot skip locked
            ) as claimed
            \(nextEvents)
            """, [.uuids(jobs.map(\.uuidBytes)), .int8(Int64(eventsMax))])
    }

    /// The same for projections beside the live ones: they are behind where the live ones are further.
    private func besideQuery(_ jobs: [JobID], _ projections: [Int16], eventsMax: Int) -> Query {
        Query(
            """
            select \(ClaimedJobs.columns)
            from unnest($1::uuid[], $3::smallint[]) with ordinality as wanted (job_id, projection, number)
            cross join lateral (
                select sequence from ledger.snapshot as found
                where found.job_id = wanted.job_id and found.is_live
                order by found.projection
                limit 1
            ) as head
            cross join lateral (
                select snapshot.* from ledger.snapshot
                where snapshot.job_id = wanted.job_id and snapshot.sequence < head.sequence and not snapshot.is_live
                    and snapshot.projection between wanted.projection and wanted.projection
                order by snapshot.projection
                limit 1
                for update of snapshot skip locked
            ) as claimed
            \(nextEvents)
            """, [.uuids(jobs.map(\.uuidBytes)), .int8(Int64(eventsMax)), .int2s(projections)])
    }

    /// The next events of each snapshot that was claimed, which come in their order, snapshot by snapshot: nothing that
    /// would have to be sorted for it stands between. Should they ever not, ``ClaimedJobs`` refuses them.
    private var nextEvents: String {
        """
        cross join lateral (
            select * from ledger.event
            where event.job_id = claimed.job_id and event.sequence > claimed.sequence
                and event.sequence <= head.sequence
            order by event.sequence
            limit $2
        ) as event
        """
    }

    /// Why jobs that should have moved did not.
    struct Lag {
        /// Jobs that another worker holds, or that have moved since.
        var held: [JobID] = []
        /// Jobs whose next event is not there.
        var broken: [JobID] = []
        /// Jobs whose live snapshot is missing.
        var missing: [JobID] = []
    }

    /// Of these jobs, those that are behind.
    func behind(_ jobs: [JobID]) async throws(PQError) -> Lag {
        let rows = try await pool.query(
            Query(
                """
                select
                    head.job_id, snapshot.sequence is null,
                    exists (
                        select from ledger.event
                        where event.job_id = head.job_id and event.sequence = snapshot.sequence + 1
                    )
                from ledger.job_head as head
                left join ledger.snapshot on snapshot.job_id = head.job_id and snapshot.is_live
                where head.job_id = any ($1) and head.sequence > coalesce(snapshot.sequence, 0)
                """, [.uuids(jobs.map(\.uuidBytes))]))
        var lag = Lag()
        for row in rows {
            let job = JobID(uuid: try row.decode(0))
            if try row.decode(1, as: Bool.self) {
                lag.missing.append(job)
            } else if try row.decode(2, as: Bool.self) {
                lag.held.append(job)
            } else {
                lag.broken.append(job)
            }
        }
        return lag
    }

    /// What a sweep has found in a part of all jobs.
    struct Sweep {
        /// Jobs whose live snapshot is behind the ledger.
        var behind: [JobID] = []
        /// Jobs whose live snapshot is missing: somebody has dropped the projection.
        var missing: [JobID] = []
        /// Where the next part begins; nil after the last one.
        var next: JobID?
    }

    /// Looks at a part of all jobs, newest first.
    func sweep(before cursor: JobID?) async throws -> Sweep {
        let page = Query(
            """
            select head.job_id, head.sequence > coalesce(snapshot.sequence, 0), snapshot.sequence is null
            from (
                select job_id, sequence from ledger.job_head
                where job_id < $1 order by job_id desc limit $2
            ) as head
            left join lateral (
                select sequence from ledger.snapshot as found
                where found.job_id = head.job_id and found.is_live
                order by found.projection
                limit 1
            ) as snapshot on true
            order by head.job_id desc
            """,
            [
                .uuid(cursor?.uuidBytes ?? UUIDBytes(high: .max, low: .max)), .int8(Int64(settings.sweepJobsMax)),
            ])
        let rows = try await pool.withTransaction(readOnly: true) { transaction in
            try await transaction.commit(after: [IndexedLookup.planning, page])[1]
        }
        var sweep = Sweep()
        for row in rows where try row.decode(1, as: Bool.self) {
            let job = JobID(uuid: try row.decode(0))
            if try row.decode(2, as: Bool.self) { sweep.missing.append(job) } else { sweep.behind.append(job) }
        }
        if rows.count == settings.sweepJobsMax, let last = rows.last { sweep.next = JobID(uuid: try last.decode(0)) }
        return sweep
    }
}

extension JobID {
    var uuidBytes: UUIDBytes { UUIDBytes(high: high, low: low) }

    init(uuid: UUIDBytes) {
        self.init(high: uuid.high, low: uuid.low)
    }
}

extension Timestamp {
    init(_ value: TimestampMicroseconds) {
        self.init(microseconds: value.microsecondsSince1970)
    }
}
