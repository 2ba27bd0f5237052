package import Ledger
internal import PQ

/// Restores dropped live projections as empty ones at sequence 0.
///
/// Workers fold them. The heads determine which jobs exist, not the projections.
struct SnapshotRestorer: Sendable {
    let pool: Pool

    /// The number of jobs that are restored in one transaction.
    private static let jobsMax = 500
    /// The time limit of a transaction.
    ///
    /// It may delete a million rows that a dropped projection has left.
    private static let deadline: Duration = .seconds(300)

    /// Restores the missing projections of these jobs.
    ///
    /// - Parameter jobs: The jobs to check. `nil` for all of them, which costs a scan of the heads.
    /// - Returns: The jobs whose projection was missing.
    func restore(_ jobs: [JobID]?) async throws(PQError) -> [JobID] {
        let jobs = if let jobs { jobs } else { try await missing() }
        var restored: [JobID] = []
        for start in stride(from: 0, to: jobs.count, by: Self.jobsMax) {
            let part = jobs[start..<min(jobs.count, start + Self.jobsMax)]
            let results = try await pool.commit(Self.statements(for: part.map(\.uuid)), deadline: Self.deadline)
            for row in results[results.count - 1] { restored.append(try row.decode(0, as: JobID.self)) }
        }
        return restored
    }

    private func missing() async throws(PQError) -> [JobID] {
        let results = try await pool.commit(
            StatusReader.planning + [
                Query(
                    """
                    select head.job_id
                    from ledger.job_head as head
                    where not exists (
                        select from ledger.snapshot where snapshot.job_id = head.job_id and snapshot.is_live
                    )
                    order by head.job_id
                    """)
            ], deadline: Self.deadline)
        var jobs: [JobID] = []
        for row in results[results.count - 1] { jobs.append(try row.decode(0, as: JobID.self)) }
        return jobs
    }

    /// Returns the statements that restore the projections of these jobs.
    ///
    /// Rows of a projection without a snapshot are deleted first: otherwise workers would fold into them. Two workers
    /// may do this at the same time. The second one waits for the rows that the first one deletes, and then finds the
    /// snapshot.
    private static func statements(for jobs: [UUIDBytes?]) -> [Query] {
        let parts = ["indicator", "task", "execution", "report_page", "discard"]
        let orphans = parts.map { table in
            Query(
                """
                delete from ledger.\(table) as orphan
                using unnest($1::uuid[]) as dropped (job_id)
                where orphan.job_id = dropped.job_id
                    and not exists (
                        select from ledger.snapshot as owner
                        where owner.job_id = orphan.job_id and owner.projection = orphan.projection
                    )
                """, [.uuids(jobs)])
        }
        // That of a retired job is not folded: it shows the state that was recorded.
        let insert = Query(
            """
            insert into ledger.snapshot (
                job_id, projection, sequence, state, created_at, updated_at, finished_at, fold_version
            )
            select
                head.job_id, \(freeNumber(of: "head.job_id")), coalesce(retirement.sequence, 0),
                coalesce(retirement.state, 'running'), case when retirement.job_id is not null then job.created_at end,
                retirement.finished_at, retirement.finished_at, \(Fold.version)
            from unnest($1::uuid[]) as dropped (job_id)
            join ledger.job_head as head on head.job_id = dropped.job_id
            join ledger.job on job.job_id = head.job_id
            left join ledger.retirement on retirement.job_id = head.job_id and head.retired_hash is not null
            where not exists (                select from ledger.snapshot as live where live.job_id = head.job_id and live.is_live
            )
            on conflict do nothing
            returning job_id
            """, [.uuids(jobs)])
        // Most of its events have been folded before, and have caused their notifications.
        let floor = DeliveryStore.raiseFloor(
            """
            select head.job_id, head.sequence
            from ledger.job_head as head
            where head.job_id = any ($1) and not exists (
                select from ledger.snapshot as live where live.job_id = head.job_id and live.is_live
            )
            order by head.job_id
            """, [.uuids(jobs)])
        let timeout = Query("set local statement_timeout = '320s'", prepare: false)
        return [timeout] + orphans + [floor, insert]
    }

    /// The expression for the lowest unused projection number of a job.
    static func freeNumber(of job: String) -> String {
        """
        (
            select number::smallint
            from generate_series(1, 32767) as number
            where not exists (
                select from ledger.snapshot as taken where taken.job_id = \(job) and taken.projection = number
            )
            limit 1
        )
        """
    }
}

extension PostgresLedger {
    /// Restores missing live projections as empty ones, and returns their jobs.
    package func restoreSnapshots(of jobs: [JobID]) async throws -> [JobID] {
        try await SnapshotRestorer(pool: pool).restore(jobs)
    }
}
