import Ledger

// Parts of executions, and ledgers that do not know all fields of events.

extension ReportBuffer {
    /// Whether the next events may be the first ones of the execution.
    ///
    /// They must not reopen a canceled job.
    var mayStart: Bool {
        isAttached ? !hasRecordedReport : startSequence == nil && batches.first?.events.startExecution ?? false
    }

    /// Removes refused optional fields from the batches.
    ///
    /// The units of an event must not be lost by its message.
    ///
    /// A field that the ledger has never recorded is unknown to it if it refuses the field in every event of the batch
    /// that has it, and is left out from now on. Otherwise its content is invalid: it is dropped and counted.
    ///
    /// Without its part, a report needs another number. If an earlier try may have been recorded with the part, as
    /// during an upgrade with servers of both versions, the batch is repeated until a newer server responds.
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
    /// It is the next one after a random one of the upper half, below which there is room for 2^33 others.
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
