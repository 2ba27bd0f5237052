internal import Ledger
internal import PQ

/// The lookup of the reporters, messages and links of a job's events.
///
/// The projection does not store these texts for each execution, because no rule of the fold depends on them.
enum EventNotesLookup {
    /// The query for the notes of these events.
    static func query(_ job: JobID, _ sequences: [EventSequence]) -> Query {
        Query(
            """
            select event.sequence, event.reporter, event.message, event.link
            from unnest($2::bigint[]) as requested (sequence)
            cross join lateral (
                select sequence, reporter, message, link from ledger.event as found
                where found.job_id = $1 and found.sequence between requested.sequence and requested.sequence
                order by found.sequence
                limit 1
            ) as event
            where coalesce(event.reporter, event.message, event.link) is not null
            """, [.uuid(job.uuid), .sequences(sequences)])
    }

    /// The notes in the result, by the sequences of the events.
    ///
    /// An event without any is left out.
    static func notes(_ rows: Rows) throws(PQError) -> [EventSequence: EventNotes] {
        var notes: [EventSequence: EventNotes] = [:]
        for row in rows {
            notes[try row.decode(0, as: EventSequence.self)] = EventNotes(
                reporter: try row.decodeIfPresent(1, as: Name.self), message: try row.decodeIfPresent(2, as: Name.self),
                link: try row.decodeIfPresent(3, as: Name.self))
        }
        return notes
    }
}
