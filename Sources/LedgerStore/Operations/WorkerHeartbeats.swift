internal import Glibc
internal import Ledger
internal import Logging
internal import PQ

/// The heartbeats of projection workers, and the jobs that they cannot fold.
struct WorkerHeartbeats: Sendable {
    let pool: Pool
    let instance: String
    let logger: Logger

    /// The interval of a worker's heartbeats.
    static let interval: Duration = .seconds(5)
    /// The number of seconds without a heartbeat after which a worker counts as lost.
    ///
    /// Three heartbeats are missing at this age.
    static let lostSeconds = 20
    /// The condition for a row of `ledger.worker` that belongs to a lost worker.
    ///
    /// A time in the future shows no live worker: the database's clock was set back. A live worker sends its next
    /// heartbeat within seconds.
    static let isLost = """
        (
            seen_at < clock_timestamp() - interval '\(lostSeconds) s'
            or seen_at > clock_timestamp() + interval '\(interval.components.seconds) s'
        )
        """
    /// The number of seconds after which a lost worker is deleted.
    ///
    /// This is long enough for a person to notice it, and short enough that a worker that has been replaced does not
    /// stay listed as a problem.
    private static let retentionSeconds = 600

    /// The condition for a `stuck` job that is still behind.
    ///
    /// The worker that recorded it may have ended before it recorded that the job has moved.
    /// This is a value and not an "exists", which PostgreSQL may turn into a join with all heads if it planned the
    /// statement while there were few.
    static let isBehind = """
        coalesce((
            select head.sequence > coalesce(snapshot.sequence, 0)
            from ledger.job_head as head
            \(LiveSnapshot.join(of: "head.job_id"))
            where head.job_id = stuck.job_id
        ), false)
        """

    private static let host: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// Writes this worker's heartbeat and statistics and replaces the previous ones.
    func publish(_ state: WorkerStatistics.State, pendingJobs: Int) async {
        await run(
            [
                Query(
                    """
                    insert into ledger.worker as existing (
                        worker, host, process, folded_at, failed_at, folded_events, steps, failures, pending_jobs,
                        error_state, error
                    )
                    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                    on conflict (worker) do update set
                        seen_at = excluded.seen_at, folded_at = excluded.folded_at, failed_at = excluded.failed_at,
                        folded_events = excluded.folded_events, steps = excluded.steps, failures = excluded.failures,
                        pending_jobs = excluded.pending_jobs, error_state = excluded.error_state,
                        error = excluded.error
                    """,
                    [
                        .text(instance), .text(Self.host), .int4(getpid()),
                        .timestamp(state.lastStepAt),
                        .timestamp(state.lastFailure?.at),
                        .int8(Int64(state.foldedEvents)), .int8(Int64(state.steps)), .int8(Int64(state.failures)),
                        .int8(Int64(pendingJobs)), .text(state.lastFailure?.state),
                        .text(state.lastFailure.map { String($0.message.prefix(2_000)) }),
                    ]),
                // A heartbeat from before the clock was set back is treated as just expired.
                Query(
                    """
                    update ledger.worker set seen_at = statement_timestamp() - $1 * interval '1 second'
                    where seen_at > statement_timestamp() + $2 * interval '1 second'
                    """, [.int8(Int64(Self.lostSeconds)), .int8(Self.interval.components.seconds)]),
                Query(
                    "delete from ledger.worker where seen_at < statement_timestamp() - $1 * interval '1 second'",
                    [.int8(Int64(Self.retentionSeconds))]),
                Query("delete from ledger.stuck_job as stuck where not \(Self.isBehind)"),
            ], "cannot write the heartbeat of a worker")
    }

    /// Deletes the heartbeat of this worker, which ends normally.
    func delete() async {
        await run(
            [Query("delete from ledger.worker where worker = $1", [.text(instance)])],
            "cannot delete the heartbeat of a worker")
    }

    /// Records that these jobs could not be folded.
    func recordStuck(_ jobs: [JobID], _ failure: LedgerStatus.Failure) async {
        await run(
            [
                Query(
                    """
                    insert into ledger.stuck_job as existing (job_id, worker, error_state, error)
                    select job_id, $2, $3, $4 from unnest($1::uuid[]) as job_id
                    on conflict (job_id) do update set
                        failed_at = excluded.failed_at, failures = existing.failures + 1, worker = excluded.worker,
                        error_state = excluded.error_state, error = excluded.error
                    """,
                    [
                        .uuids(jobs.sorted().map(\.uuid)), .text(instance), .text(failure.state),
                        .text(String(failure.message.prefix(2_000))),
                    ])
            ], "cannot record stuck jobs")
    }

    /// Records that these jobs have moved.
    func clearStuck(_ jobs: [JobID]) async {
        await run(
            [Query("delete from ledger.stuck_job where job_id = any ($1)", [.uuids(jobs.map(\.uuid))])],
            "cannot clear stuck jobs")
    }

    /// Runs these statements. A failure only affects the displayed status.
    private func run(_ queries: [Query], _ failure: Logger.Message) async {
        do throws(PQError) {
            // The rows are only for people, so the commit waits neither for the disk nor for a standby.
            let statements = [Query("set local synchronous_commit = off", prepare: false)] + queries
            _ = try await pool.commit(statements, deadline: .seconds(5))
        } catch {
            if !Task.isCancelled { logger.warning(failure, metadata: ["error": "\(error)"]) }
        }
    }
}
