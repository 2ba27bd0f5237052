package import Ledger
package import PQ

/// Reads very many events of a job in order by COPY, without their hashes.
package struct EventCursor: Sendable {
    private let pool: Pool

    package init(pool: Pool) {
        self.pool = pool
    }

    /// The maximum number of events in one COPY.
    ///
    /// This is small enough to finish long before the session's `statement_timeout`.
    private static let eventsMax: Int = 500_000

    /// Passes the events after `position` up to `end` to the closure, in order.
    ///
    /// They are passed some thousand at a time, each exactly once and without gaps. The closure runs on the global
    /// executor, not on the reactor, so it may compute. PostgreSQL continues to read during that time.
    ///
    /// - Throws: ``StoreError/Code/incomplete`` if an event is missing; any error that the closure throws.
    package func read(
        _ job: JobID, after position: EventSequence, through end: EventSequence, _ body: ([Event]) throws -> Void
    ) async throws(StoreError) {
        var position = position
        while position < end {
            let last = min(end, position + Self.eventsMax)
            do {
                try await copy(job, after: &position, through: last, body)
            } catch let error as StoreError {
                throw error
            } catch let error as PQError {
                throw StoreError(error, while: "reading events")
            } catch {
                throw StoreError(.corrupt, "reading events of job \(job): \(error)", cause: error)
            }
            guard position == last else { throw Self.missing(position + 1, job) }
        }
    }

    private func copy(
        _ job: JobID, after position: inout EventSequence, through end: EventSequence, _ body: ([Event]) throws -> Void
    ) async throws {
        var reader = CopyRowReader()
        var last = position
        try await pool.withTransaction(readOnly: true) { transaction in
            try await transaction.copyOut(Self.statement(job, after: last, through: end)) { chunk in
                try await ComputeThreads.run {
                    var events: [Event] = []
                    try reader.read(chunk) { row throws(PQError) in events.append(try FoldedEventRow.decode(&row)) }
                    for event in events {
                        guard event.sequence == last + 1 else { throw Self.missing(last + 1, job) }
                        last = event.sequence
                    }
                    try body(events)
                }
            }
        }
        position = last
    }

    /// A range of a job's events, after one event and up to another.
    package struct Part: Sendable {
        package let job: JobID
        package let after: EventSequence
        package let end: EventSequence

        package init(_ job: JobID, after: EventSequence, through end: EventSequence) {
            self.job = job
            self.after = after
            self.end = end
        }
    }

    /// Passes the events of many jobs to the closure in one COPY, job by job.
    ///
    /// Each event is passed exactly once, in order and without gaps, with the index of its part. The events are those
    /// that this transaction sees. The closure runs on the global executor, not on the reactor, so it may compute.
    ///
    /// - Throws: ``StoreError/Code/incomplete`` if an event is missing; any error that the closure throws.
    package static func read(
        _ parts: [Part], in transaction: inout Transaction, _ body: (Int, Event) throws -> Void
    ) async throws {
        var reader = CopyRowReader()
        var index = 0
        var last = parts.first?.after ?? 0
        try await transaction.copyOut(statement(parts)) { chunk in
            try await ComputeThreads.run {
                var failure: (any Error)?
                try reader.read(chunk) { row throws(PQError) in
                    let event = try FoldedEventRow.decode(&row)
                    if failure != nil { return }
                    do {
                        // The next part begins at the end of the previous one. If a part lacks an event, its sequences
                        // have a gap or the rows end too early.
                        while index < parts.count - 1, last == parts[index].end {
                            index += 1
                            last = parts[index].after
                        }
                        guard last < parts[index].end, event.sequence == last + 1 else {
                            throw missing(last + 1, parts[index].job)
                        }
                        last = event.sequence
                        try body(index, event)
                    } catch {
                        failure = error
                    }
                }
                if let failure { throw failure }
            }
        }
        while index < parts.count {
            guard last == parts[index].end else { throw missing(last + 1, parts[index].job) }
            index += 1
            if index < parts.count { last = parts[index].after }
        }
    }

    // PostgreSQL reads job by job, because a subquery with its own order is not mixed with others; the checks in
    // `read` would detect it otherwise. Sorting everything to be sure would cost as much as reading it. Each column
    // adds about 5 % to that cost, so a row does not contain its job.
    private static func statement(_ parts: [Part]) -> String {
        // For a single part PostgreSQL can estimate the number of events, and reads them in the order of its index. If
        // it joins parts, it expects few events and sorts them first, which for a large job means half a million on
        // disk.
        if parts.count == 1, let part = parts.first {
            return statement(part.job, after: part.after, through: part.end)
        }
        return """
            copy (
                select \(FoldedEventRow.columns)
                from unnest(
                    array[\(parts.map { "'\($0.job)'" }.joined(separator: ", "))]::uuid[],
                    array[\(parts.map { "\($0.after)" }.joined(separator: ", "))]::bigint[],
                    array[\(parts.map { "\($0.end)" }.joined(separator: ", "))]::bigint[]
                ) as part (job_id, after, last)
                cross join lateral (
                    select * from ledger.event as found
                    where found.job_id = part.job_id and found.sequence > part.after and found.sequence <= part.last
                    order by found.sequence
                ) as event
            ) to stdout (format binary)
            """
    }

    // COPY takes no parameters. The statement contains only an id and integers, which need no escaping.
    private static func statement(_ job: JobID, after position: EventSequence, through end: EventSequence) -> String {
        """
        copy (
            select \(FoldedEventRow.columns)
            from ledger.event
            where job_id = '\(job)' and sequence > \(position) and sequence <= \(end)
            order by sequence
        ) to stdout (format binary)
        """
    }

    private static func missing(_ sequence: EventSequence, _ job: JobID) -> StoreError {
        StoreError(.incomplete, "event \(sequence) of job \(job) is missing", jobs: [job])
    }
}
