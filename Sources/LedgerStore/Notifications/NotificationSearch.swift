package import Ledger
package import PQ

/// Leases the search for late and stalled jobs, and reads the jobs to examine.
///
/// One process searches at a time.
///
/// The search goes through all running jobs, page by page. Its position is in the database, so it continues after a
/// process has ended.
package struct NotificationSearch: Sendable {
    let pool: Pool
    let matcher: SubscriptionMatcher

    /// A page of running jobs.
    package struct Page: Sendable {
        /// The jobs with subscriptions to a late, stalled or advancing job.
        package let jobs: [JobID: [Subscription]]
        /// The last job of the page; nil if it was the last page.
        package let end: JobID?
    }

    /// Claims the next page, unless another process has searched within the interval.
    ///
    /// In a ledger without subscriptions, no page is read.
    package func nextPage(every interval: Duration, limit: Int) async throws -> Page? {
        try await pool.withTransaction { transaction in
            let claimed = try await transaction.pipeline([
                IndexedLookup.planning,
                Query(
                    """
                    update ledger.notification_state set searched_at = statement_timestamp()
                    where searched_at < statement_timestamp() - make_interval(secs => $1)
                        and exists (select from ledger.subscription where disabled_at is null and kinds && $2)
                    returning searched_job
                    """, [.float8(interval / .seconds(1)), .texts(Self.kinds.map(\.text))]),
                SubscriptionMatcher.version,
            ])
            guard let row = claimed[1].first else { return nil }
            let start = try row.decodeIfPresent(0, as: JobID.self)
            let rows = try await transaction.query(
                Query(
                    """
                    select job_id from ledger.snapshot
                    where is_live and state between 'running' and 'running' and job_id < $1
                    order by state, job_id desc
                    limit $2
                    """,
                    [.uuid(start?.uuid ?? UUIDBytes(high: .max, low: .max)), .int8(Int64(limit))]))
            var jobs: [JobID] = []
            for row in rows { jobs.append(try row.decode(0, as: JobID.self)) }
            let end = jobs.count == limit ? jobs.last : nil
            let subscriptions = try await matcher.subscriptions(to: jobs, version: claimed[2], in: &transaction)
            _ = try await transaction.commit(after: [
                Query("update ledger.notification_state set searched_job = $1", [.uuid(end?.uuid)])
            ])
            return Page(
                jobs: subscriptions.filter { $0.value.contains { !Set($0.kinds).isDisjoint(with: Self.kinds) } },
                end: end)
        }
    }

    // MARK: Stalls

    /// The stalls of these jobs that were noticed and have not ended since.
    package func noticedStalls(of jobs: [JobID]) async throws(PQError) -> [JobID: Timestamp] {
        let rows = try await pool.query(
            Query("select job_id, since from ledger.noticed_stall where job_id = any ($1)", [.uuids(jobs.map(\.uuid))]))
        var stalls: [JobID: Timestamp] = [:]
        for row in rows { stalls[try row.decode(0, as: JobID.self)] = try row.decode(1, as: Timestamp.self) }
        return stalls
    }

    /// The stalls that began or ended since the last search.
    package struct StallChanges: Sendable {
        package var begun: [(job: JobID, since: Timestamp)] = []
        package var ended: [JobID] = []

        package init() {}

        package var isEmpty: Bool { begun.isEmpty && ended.isEmpty }

        /// The statements that record them.
        package var statements: [Query] {
            [
                Query(
                    """
                    insert into ledger.noticed_stall (job_id, since)
                    select * from unnest($1::uuid[], $2::timestamptz[])
                    on conflict (job_id) do update set since = excluded.since
                    """, [.uuids(begun.map(\.job.uuid)), .timestamps(begun.map(\.since))]),
                Query("delete from ledger.noticed_stall where job_id = any ($1)", [.uuids(ended.map(\.uuid))]),
            ]
        }
    }

    /// The kinds of notifications that no event causes.
    private static let kinds: [NotificationKind] = [.late, .stalled, .advancing]
}
