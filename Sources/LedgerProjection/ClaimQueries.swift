internal import Ledger
internal import LedgerStore
internal import PQ

/// The statements that claim jobs and read their next events.
///
/// ``ClaimedJobs`` decodes their results.
enum ClaimQueries {
    /// The condition that this build may fold a snapshot's events.
    ///
    /// It is false for a projection of a version of the fold that this one does not continue, and in a database with a
    /// newer schema, whose events may have fields that this build does not know.
    static let isFoldedHere = "\(isContinued(of: "snapshot")) and not \(KnownSchema.isNewer)"

    /// The condition that the fold continues the states of a row with a `fold_version`.
    static func isContinued(of table: String) -> String {
        let versions = Fold.continuedVersions
        return "\(table).fold_version between \(versions.lowerBound) and \(versions.upperBound)"
    }

    /// Returns the query that claims jobs that are behind and reads their next events.
    ///
    /// It must run after ``IndexedLookup/planning``. A job with a snapshot that another worker holds is skipped and not
    /// waited for, so the order of the locks does not matter. The locks last until the commit: the checkpoint that is
    /// read here is the one that is replaced there.
    static func claim(_ jobs: [JobID], eventsMax: Int) -> Query {
        Query(
            """
            select \(ClaimedJobs.columns)
            from unnest($1::uuid[]) with ordinality as requested (job_id, number)
            cross join lateral (
                select sequence from ledger.job_head as found where found.job_id = requested.job_id limit 1
            ) as head
            cross join lateral (
                select snapshot.* from ledger.snapshot
                where snapshot.job_id = requested.job_id and snapshot.is_live and snapshot.sequence < head.sequence
                    and \(isFoldedHere)
                order by snapshot.projection
                limit 1
                for update of snapshot skip locked
            ) as claimed
            \(nextEvents)
            """, [.uuids(jobs.map(\.uuid)), .int8(Int64(eventsMax))])
    }

    /// Returns the same query for projections that a replay builds.
    ///
    /// They are behind if the live ones have a higher sequence.
    static func claim(_ jobs: [JobID], into projections: [Int16], eventsMax: Int) -> Query {
        Query(
            """
            select \(ClaimedJobs.columns)
            from unnest($1::uuid[], $3::smallint[]) with ordinality as requested (job_id, projection, number)
            cross join lateral (
                select sequence from ledger.snapshot as found
                where found.job_id = requested.job_id and found.is_live
                order by found.projection
                limit 1
            ) as head
            cross join lateral (
                select snapshot.* from ledger.snapshot
                where snapshot.job_id = requested.job_id and snapshot.sequence < head.sequence and not snapshot.is_live
                    and snapshot.projection between requested.projection and requested.projection
                    and \(isFoldedHere)
                order by snapshot.projection
                limit 1
                for update of snapshot skip locked
            ) as claimed
            \(nextEvents)
            """, [.uuids(jobs.map(\.uuid)), .int8(Int64(eventsMax)), .int2s(projections)])
    }

    /// The subquery for the next events of each claimed snapshot.
    ///
    /// They are returned in their order, snapshot by snapshot, because the plan contains no step that could reorder
    /// them. If they were ever returned in another order, ``ClaimedJobs`` would refuse them.
    private static let nextEvents = """
        cross join lateral (
            select * from ledger.event
            where event.job_id = claimed.job_id and event.sequence > claimed.sequence
                and event.sequence <= head.sequence
            order by event.sequence
            limit $2
        ) as event
        """
}
