internal import Ledger
internal import LedgerStore
internal import PQ

extension ProjectionStep {
    /// The jobs that are behind, by the reason.
    struct Lag {
        /// Jobs that another worker holds, or that have got events since.
        var held: [JobID] = []
        /// Jobs that another version of this program must fold.
        var foreign: [JobID] = []
        /// Jobs with a missing next event.
        var broken: [JobID] = []
        /// Jobs without a live snapshot.
        var missing: [JobID] = []
    }

    /// Returns those of these jobs that are behind.
    func lag(of jobs: [JobID]) async throws(PQError) -> Lag {
        let rows = try await pool.query(
            Query(
                """
                select
                    head.job_id, snapshot.sequence is null,
                    exists (
                        select from ledger.event
                        where event.job_id = head.job_id and event.sequence = snapshot.sequence + 1
                    ),
                    not (\(ClaimQueries.isFoldedHere))
                from ledger.job_head as head
                \(LiveSnapshot.join(of: "head.job_id"))
                where head.job_id = any ($1) and head.sequence > coalesce(snapshot.sequence, 0)
                """, [.uuids(jobs.map(\.uuid))]))
        var lag = Lag()
        for row in rows {
            let job = try row.decode(0, as: JobID.self)
            if try row.decodeIfPresent(3, as: Bool.self) ?? false {
                lag.foreign.append(job)
            } else if try row.decode(1, as: Bool.self) {
                lag.missing.append(job)
            } else if try row.decode(2, as: Bool.self) {
                lag.held.append(job)
            } else {
                lag.broken.append(job)
            }
        }
        return lag
    }

    /// The result of checking one page of all jobs.
    struct Sweep {
        /// Jobs with a live snapshot that is behind the ledger.
        var behind: [JobID] = []
        /// Jobs without a live snapshot, because the projection was dropped.
        var missing: [JobID] = []
        /// The cursor of the next page; nil after the last one.
        var next: JobID?
    }

    /// Checks one page of all jobs, newest first.
    func sweep(before cursor: JobID?) async throws(PQError) -> Sweep {
        let page = Query(
            """
            select job_id, sequence > coalesce(folded, 0), folded is null
            from (
                select
                    head.job_id, head.sequence,
                    (
                        select snapshot.sequence from ledger.snapshot
                        where snapshot.job_id = head.job_id and snapshot.is_live
                        order by snapshot.projection
                        limit 1
                    ) as folded
                from ledger.job_head as head
                where head.job_id < $1 order by head.job_id desc limit $2
            ) as page
            order by job_id desc
            """,
            [
                .uuid(cursor?.uuid ?? UUIDBytes(high: .max, low: .max)), .int8(Int64(settings.sweepJobsMax)),
            ])
        let rows = try await pool.withTransaction(readOnly: true) { transaction throws(PQError) in
            try await transaction.commit(after: [IndexedLookup.planning, page])[1]
        }
        var sweep = Sweep()
        for row in rows where try row.decode(1, as: Bool.self) {
            let job = try row.decode(0, as: JobID.self)
            if try row.decode(2, as: Bool.self) { sweep.missing.append(job) } else { sweep.behind.append(job) }
        }
        if rows.count == settings.sweepJobsMax, let last = rows.last { sweep.next = try last.decode(0, as: JobID.self) }
        return sweep
    }
}
