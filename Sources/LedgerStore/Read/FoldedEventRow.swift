package import Ledger
package import PQ

/// What folds read of an event: neither its hash, nor what a job is called, nor the reporter's own time, which no fold asks
/// for. Each column that is sent costs some five per cent of what reading an event does.
package enum FoldedEventRow {
    /// The columns, in the order that ``decode(_:)`` takes them; `event` is the table's name in the statement.
    ///
    /// To compare a number costs PostgreSQL less than to send it, so what most events have is left out: that they report
    /// progress, and no units.
    package static let columns = """
        event.sequence, event.recorded_at, nullif(event.type, \(EventType.progress.rawValue)), event.report,
        nullif(event.total, 0), nullif(event.done, 0), event.attempt, event.task, event.execution, event.label,
        event.outcome
        """

    /// The event of the next columns. Whether no units were given, or none to be counted, is no longer told: a fold does
    /// not tell them apart.
    ///
    /// - Throws: ``PQError/Code/decoding`` where they are not what the ledger writes.
    package static func decode(_ row: inout BinaryRow) throws(PQError) -> Event {
        let sequence = try row.int8()
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
                        reference: reference, report: report, label: label.map { Name($0) }, total: total, done: done))
            case (.executionFinished, let reference?):
                outcome.flatMap { ExecutionOutcome(rawValue: $0) }.map { .executionFinished(reference, $0) }
            case (.jobFinished, _): outcome.flatMap { JobOutcome(rawValue: $0) }.map { .jobFinished($0) }
            default: nil
            }
        guard let body else { throw PQError(.decoding, "event \(sequence) is not one that the ledger writes") }
        return Event(sequence: sequence, recordedAt: Timestamp(recordedAt), body: body)
    }
}
