package import Ledger
package import PQ

/// The decoding of an event as folds need it.
///
/// It leaves out the hash, the name of a job and the reporter's time, which no fold uses. Each column adds about 5 % to
/// the cost of reading an event.
package enum FoldedEventRow {
    /// The columns that ``decode(_:)`` expects, in order.
    ///
    /// The statement must call the table `event`. For PostgreSQL, comparing a number costs less than sending it, so the
    /// most frequent values are left out: the type `progress`, and units of 0.
    package static let columns = """
        event.sequence, event.recorded_at, nullif(event.type, \(EventType.progress.rawValue)), event.report,
        nullif(event.total, 0), nullif(event.done, 0), event.attempt, event.task, event.execution, event.label,
        event.outcome,
        case
            when coalesce(event.message, event.link, event.unit, event.part) is not null or event.carried is not null
                then row(event.message, case when event.link is not null then '' end, event.unit, event.part, event.carried)
        end
        """

    /// The optional fields of an event, of which most have none.
    private struct Notes {
        var message: Name?
        var link: Name?
        var unit: Name?
        var part: Name?
        var carried: Int64?
    }

    /// Decodes the event in the next columns.
    ///
    /// Units of 0 and absent units become the same: a fold does not distinguish them.
    ///
    /// - Throws: ``PQError/Code/decoding`` if the columns are not ones that the ledger writes.
    package static func decode(_ row: inout BinaryRow) throws(PQError) -> Event {
        let sequence = try row.sequence()
        let recordedAt = try row.timestamp()
        let type = try row.int2()
        let report = try row.int8()
        let total = try row.int8()
        let done = try row.int8()
        let attempt = try row.int4()
        let task = try row.text()
        let execution = try row.text()
        let label = try row.text()
        let outcome = try row.text()
        var notes = Notes()
        try row.record { record throws(PQError) in
            notes.message = try record.text().map { Name($0) }
            notes.link = try record.text().map { Name($0) }
            notes.unit = try record.text().map { Name($0) }
            notes.part = try record.text().map { Name($0) }
            notes.carried = try record.int8()
        }
        guard let sequence, let recordedAt else { throw PQError(.decoding, "an event has no sequence or time") }
        let reference = task.map {
            ExecutionReference(task: Name($0), execution: execution.map { Name($0) }, attempt: attempt)
        }
        let body: EventBody? =
            switch (type.map { EventType(rawValue: $0) } ?? .progress, reference) {
            case (.jobCreated, _): .jobCreated(JobDescription(name: ""))
            case (.executionStarted, let reference?): .executionStarted(reference)
            case (.progress, let reference?):
                .progress(
                    ProgressReport(
                        reference: reference, report: report, label: label.map { Name($0) }, total: total, done: done,
                        carried: notes.carried, unit: notes.unit, part: notes.part))
            case (.executionFinished, let reference?):
                outcome.flatMap { ExecutionOutcome(rawValue: $0) }.map { .executionFinished(reference, $0) }
            case (.jobFinished, _): outcome.flatMap { JobOutcome(rawValue: $0) }.map { .jobFinished($0) }
            default: nil
            }
        guard let body else { throw PQError(.decoding, "event \(sequence) is not one that the ledger writes") }
        return Event(
            sequence: sequence, recordedAt: Timestamp(recordedAt), message: notes.message, link: notes.link, body: body)
    }
}
