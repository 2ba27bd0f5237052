internal import Glibc
internal import Ledger
internal import Logging
internal import PQ

/// Where the projection workers say that they live, and which jobs they cannot get done.
struct WorkerHeartbeats: Sendable {
    let pool: Pool
    let instance: String
    let logger: Logger

    /// How often a worker says so.
    static let interval: Duration = .seconds(5)
    /// After how many seconds without a word a worker is taken for lost: three words of it have not come.
    static let lostSeconds = 20
    /// Whether a row of `ledger.worker` is of a worker that is lost.
    ///
    /// A time in the future is no evidence of life: the database's clock was set back since. A worker that lives says so
    /// again within seconds.
    static let isLost = """
        (
            seen_at < clock_timestamp() - interval '\(lostSeconds) s'
            or seen_at > clock_timestamp() + interval '\(interval.components.seconds) s'
        )
        """
    /// After how many seconds a lost one is forgotten: long enough to be seen, and not so long that one whose place
    /// another has taken is a trouble still.
    private static let forgottenSeconds = 600

    /// Whether a `stuck` job is behind still: who noted it may have died before it noted that the job has moved on.
    ///
    /// A value and not "exists", which PostgreSQL may turn into a join with all heads where it has planned it while there
    /// were few.
    static let isBehind = """
        coalesce((
            select head.sequence > coalesce(snapshot.sequence, 0)
            from ledger.job_head as head
            left join ledger.snapshot on snapshot.job_id = head.job_id and snapshot.is_live
            where head.job_id = stuck.job_id
        ), false)
        """

    private static let host: String = {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// Says that this worker lives, and what it has done; takes the place of what it said before.
    func tell(_ state: WorkerStatistics.State, pendingJobs: Int) async {
        await write(
            [
                Query(
                    """
                    insert into ledger.worker as known (
                        worker, host, process, folded_at, failed_at, folded_events, steps, failures, pending_jobs,
                        error_state, error
                    )
                    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
                    on conflict (worker) do update set
                        seen_at = clock_timestamp(), folded_at = excluded.folded_at, failed_at = excluded.failed_at,
                        folded_events = excluded.folded_events, steps = excluded.steps, failures = excluded.failures,
                        pending_jobs = excluded.pending_jobs, error_state = excluded.error_state,
                        error = excluded.error
                    """,
                    [
                        .text(instance), .text(Self.host), .int4(getpid()),
                        .timestamptz(microsecondsSince1970: state.lastStepAt?.microseconds),
                        .timestamptz(microsecondsSince1970: state.lastFailure?.at.microseconds),
                        .int8(Int64(state.foldedEvents)), .int8(Int64(state.steps)), .int8(Int64(state.failures)),
                        .int8(Int64(pendingJobs)), .text(state.lastFailure?.state),
                        .text(state.lastFailure.map { String($0.message.prefix(2_000)) }),
                    ]),
                // What was said by a clock that has been set back since is as old as what is just lost.
                Query(
                    """
                    update ledger.worker set seen_at = clock_timestamp() - $1 * interval '1 second'
                    where seen_at > clock_timestamp() + $2 * interval '1 second'
                    """, [.int8(Int64(Self.lostSeconds)), .int8(Self.interval.components.seconds)]),
                Query(
                    "delete from ledger.worker where seen_at < clock_timestamp() - $1 * interval '1 second'",
                    [.int8(Int64(Self.forgottenSeconds))]),
                Query("delete from ledger.stuck_job as stuck where not \(Self.isBehind)"),
            ], "a worker could not say that it lives")
    }

    /// This worker ends as it should.
    func leave() async {
        await write(
            [Query("delete from ledger.worker where worker = $1", [.text(instance)])], "a worker could not sign off")
    }

    /// These jobs could not be folded.
    func recordStuck(_ jobs: [JobID], _ failure: LedgerStatus.Failure) async {
        await write(
            [
                Query(
                    """
                    insert into ledger.stuck_job as known (job_id, worker, error_state, error)
                    select job_id, $2, $3, $4 from unnest($1::uuid[]) as job_id
                    on conflict (job_id) do update set
                        failed_at = clock_timestamp(), failures = known.failures + 1, worker = excluded.worker,
                        error_state = excluded.error_state, error = excluded.error
                    """,
                    [
                        .uuids(jobs.sorted().map(\.uuid)), .text(instance), .text(failure.state),
                        .text(String(failure.message.prefix(2_000))),
                    ])
            ], "it could not be noted that jobs are stuck")
    }

    /// These jobs have moved on.
    func clearStuck(_ jobs: [JobID]) async {
        await write(
            [Query("delete from ledger.stuck_job where job_id = any ($1)", [.uuids(jobs.map(\.uuid))])],
            "it could not be noted that jobs move on")
    }

    /// What is told here is for people only: where it cannot be written, nothing else suffers.
    private func write(_ queries: [Query], _ failure: Logger.Message) async {
        do throws(PQError) {
            // It is for people only, so it waits neither for the disk nor for a standby.
            let statements = [Query("set local synchronous_commit = off", prepare: false)] + queries
            _ = try await pool.commit(statements, deadline: .seconds(5))
        } catch {
            if !Task.isCancelled { logger.warning(failure, metadata: ["error": "\(error)"]) }
        }
    }
}
