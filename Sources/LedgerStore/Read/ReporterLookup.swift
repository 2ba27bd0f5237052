internal import Ledger
internal import PQ

/// The lookup of the reporters of a job's events.
///
/// The projection does not store the reporters of executions, because no rule of the fold depends on them.
enum ReporterLookup {
    /// The query for the reporters of these events.
    static func query(_ job: JobID, _ sequences: [Int64]) -> Query {
        Query(
            """
            select event.sequence, event.reporter
            from unnest($2::bigint[]) as requested (sequence)
            cross join lateral (
                select sequence, reporter from ledger.event as found
                where found.job_id = $1 and found.sequence between requested.sequence and requested.sequence
                order by found.sequence
                limit 1
            ) as event
            where event.reporter is not null
            """, [.uuid(job.uuid), .int8s(sequences)])
    }

    /// The reporters in the result, by the sequences of the events.
    ///
    /// An event without a reporter is left out.
    static func reporters(_ rows: Rows) throws(PQError) -> [Int64: Name] {
        var reporters: [Int64: Name] = [:]
        for row in rows { reporters[try row.decode(0, as: Int64.self)] = try row.decode(1, as: Name.self) }
        return reporters
    }
}
