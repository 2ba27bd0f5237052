import Ledger

// Parts of executions, and ledgers that do not know all fields of events.

extension ReportBuffer {
    /// Whether the batch to send may be the first recorded one of the execution.
    ///
    /// It is then sent on condition that the job is not canceled (`unlessCanceled`), so as not to reopen it.
    var mayStart: Bool {
        isAttached ? !hasRecordedReport : startSequence == nil && batches.first?.events.startExecution ?? false
    }

    /// Removes refused optional fields from the batches.
    ///
    /// An invalid message must not cost the units of its event.
    ///
    /// A field is unknown to the ledger if it has never recorded it and refuses it in every event of the batch that has
    /// it. It is left out from now on. Any other refused field has invalid content: it is dropped, and counted unless
    /// it is a part.
    ///
    /// A report that loses its part needs a new number. If an earlier try may have been recorded with the part, as
    /// during an upgrade with servers of both versions, a new number could make the report count twice. Then the batch
    /// is repeated unchanged.
    mutating func strip(
        _ refused: [Int: EventField], _ error: LedgerClientError, _ now: ContinuousClock.Instant, _ chance: Double
    ) -> FailureResult {
        if batches[0].isResent, refused.values.contains(where: { $0.contains(.part) }) {
            retry(after: error.retryAfter, now: now, chance: chance)
            return .retried
        }
        var unknown = refused.values.reduce(into: EventField()) { $0.formUnion($1) }.subtracting(fields.known)
        for (position, event) in batches[0].events.enumerated() {
            unknown.subtract(event.optionalFields.subtracting(refused[position] ?? []))
        }
        fields.exclude(unknown)
        newUnknownFields.formUnion(unknown)
        for index in batches.indices {
            for (position, event) in batches[index].events.enumerated() {
                let invalid = index == 0 ? refused[position] ?? [] : []
                countDroppedNotes(invalid.subtracting(unknown).subtracting(.part).count)
                batches[index].events[position] = event.without(unknown.union(invalid)) { numberWithoutPart() }
            }
        }
        clearPause()
        return .stripped
    }

    /// A number that is unique in the whole execution.
    ///
    /// It is for a ledger that does not number parts separately.
    ///
    /// The first is a random number of the upper half, at least 2^33 below its end. Each further one is the next
    /// number.
    mutating func numberWithoutPart() -> Int64 {
        if part != nil {
            part = nil
            let (half, room) = (Limits.reports.upperBound / 2 + 1, Int64(1) << 33)
            nextReport = .random(in: half..<(2 * half - room))
        }
        defer { nextReport += 1 }
        return nextReport
    }

    /// Takes the fields that the ledger does not know, to log them.
    ///
    /// Empty if there is nothing new.
    mutating func takeNewUnknownFields() -> EventField {
        defer { newUnknownFields = [] }
        return newUnknownFields
    }
}
