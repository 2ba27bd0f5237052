public import Ledger
public import PQ

/// The decoding of an event from the event table.
public enum EventRow {
    /// The columns that ``decode(_:from:)`` expects, in order.
    ///
    /// The statement must call the table `event`.
    public static let columns = """
        event.sequence, event.recorded_at, event.at, event.report, event.total, event.done, event.attempt, event.type,
        event.hash, event.task, event.execution, event.label, event.outcome, event.name, event.key,
        event.tag_names, event.tag_contents
        """

    /// The number of ``columns``.
    static let columnCount = 17

    /// The event table for `from`, with tags as arrays.
    ///
    /// Few events have tags. As a JSON object they would have to be decoded by Swift's `String`, which treats some
    /// different names as equal.
    public static let table = """
        (
            select
                stored.*,
                case when stored.tags is not null then array(select key from jsonb_each_text(stored.tags)) end
                    as tag_names,
                case when stored.tags is not null then array(select value from jsonb_each_text(stored.tags)) end
                    as tag_contents
            from ledger.event as stored
        ) as event
        """

    /// Decodes the event in the columns from this one on.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the row is not one that the ledger writes.
    public static func decode(_ row: Row, from column: Int = 0) throws(PQError) -> (event: Event, hash: EventHash) {
        let body = try body(row, column)
        let event = Event(
            sequence: try row.decode(column), recordedAt: try row.timestamp(column + 1),
            at: try row.timestampIfPresent(column + 2), body: body)
        return (event, try row.eventHash(column + 8))
    }

    private static func body(_ row: Row, _ column: Int) throws(PQError) -> EventBody {
        switch EventType(rawValue: try row.decode(column + 7)) {
        case .jobCreated:
            return .jobCreated(try description(row, column))
        case .executionStarted:
            return .executionStarted(try reference(row, column))
        case .progress:
            return .progress(
                ProgressReport(
                    reference: try reference(row, column), report: try row.decodeIfPresent(column + 3),
                    label: try row.nameIfPresent(column + 11), total: try row.decodeIfPresent(column + 4),
                    done: try row.decodeIfPresent(column + 5)))
        case .executionFinished:
            guard let outcome = ExecutionOutcome(rawValue: try row.decode(column + 12)) else { break }
            return .executionFinished(try reference(row, column), outcome)
        case .jobFinished:
            guard let outcome = JobOutcome(rawValue: try row.decode(column + 12)) else { break }
            return .jobFinished(outcome)
        case nil:
            break
        }
        throw PQError(.decoding, "an event has an unknown type or outcome")
    }

    private static func reference(_ row: Row, _ column: Int) throws(PQError) -> ExecutionReference {
        ExecutionReference(
            task: try row.name(column + 9), execution: try row.nameIfPresent(column + 10),
            attempt: try row.decodeIfPresent(column + 6))
    }

    private static func description(_ row: Row, _ column: Int) throws(PQError) -> JobDescription {
        var tags: [Name: Name] = [:]
        let names = try row.decodeIfPresent(column + 15, as: [String].self) ?? []
        let contents = try row.decodeIfPresent(column + 16, as: [String].self) ?? []
        for (name, content) in zip(names, contents) { tags[Name(name)] = Name(content) }
        return JobDescription(name: try row.name(column + 13), key: try row.nameIfPresent(column + 14), tags: tags)
    }
}
