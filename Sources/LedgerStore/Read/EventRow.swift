public import Ledger
public import PQ

/// The decoding of an event from the event table.
public enum EventRow {
    /// The columns that ``decode(_:)`` expects, in order.
    ///
    /// The statement must call the table `event`.
    public static let columns = """
        event.sequence, event.recorded_at, event.at, event.report, event.total, event.done, event.attempt, event.type,
        event.hash, event.task, event.execution, event.label, event.outcome, event.reporter, event.message,
        event.link, event.unit, event.part, event.carried, event.name, event.key, event.tag_names, event.tag_contents
        """

    /// The event table for `from`, with tags as arrays.
    ///
    /// Few events have tags.
    public static let table = """
        (
            select
                stored.*,
                \(TagColumns.names(of: "stored.tags")) as tag_names,
                \(TagColumns.values(of: "stored.tags")) as tag_contents
            from ledger.event as stored
        ) as event
        """

    /// Decodes the event in the next columns, and its hash.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the row is not one that the ledger writes.
    public static func decode(_ columns: inout RowColumns) throws(PQError) -> (event: Event, hash: EventHash) {
        let sequence = try columns.next(EventSequence.self)
        let recordedAt = try columns.next(Timestamp.self)
        let at = try columns.nextIfPresent(Timestamp.self)
        let report = try columns.nextIfPresent(Int64.self)
        let total = try columns.nextIfPresent(Int64.self)
        let done = try columns.nextIfPresent(Int64.self)
        let attempt = try columns.nextIfPresent(Int32.self)
        let type = EventType(rawValue: try columns.next())
        let hash = try columns.next(EventHash.self)
        let task = try columns.nextIfPresent(Name.self)
        let execution = try columns.nextIfPresent(Name.self)
        let label = try columns.nextIfPresent(Name.self)
        let outcome = try columns.nextIfPresent(String.self)
        let reporter = try columns.nextIfPresent(Name.self)
        let message = try columns.nextIfPresent(Name.self)
        let link = try columns.nextIfPresent(Name.self)
        let unit = try columns.nextIfPresent(Name.self)
        let part = try columns.nextIfPresent(Name.self)
        let carried = try columns.nextIfPresent(Int64.self)
        let name = try columns.nextIfPresent(Name.self)
        let key = try columns.nextIfPresent(Name.self)
        let tags = try TagColumns.decode(&columns)
        let reference = task.map { ExecutionReference(task: $0, execution: execution, attempt: attempt) }
        let body: EventBody? =
            switch (type, reference) {
            case (.jobCreated, _): name.map { .jobCreated(JobDescription(name: $0, key: key, tags: tags)) }
            case (.executionStarted, let reference?): .executionStarted(reference)
            case (.progress, let reference?):
                .progress(
                    ProgressReport(
                        reference: reference, report: report, label: label, total: total, done: done,
                        carried: carried, unit: unit, part: part))
            case (.executionFinished, let reference?):
                outcome.flatMap { ExecutionOutcome(rawValue: $0) }.map { .executionFinished(reference, $0) }
            case (.jobFinished, _): outcome.flatMap { JobOutcome(rawValue: $0) }.map { .jobFinished($0) }
            default: nil
            }
        guard let body else { throw PQError(.decoding, "event \(sequence) is not one that the ledger writes") }
        let event = Event(
            sequence: sequence, recordedAt: recordedAt, at: at, reporter: reporter, message: message, link: link,
            body: body)
        return (event, hash)
    }
}
