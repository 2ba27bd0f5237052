package import Ledger
package import PQ

/// Reads very many events of a job, in order and as fast as PostgreSQL gives them: by COPY, without their hashes.
package struct EventCursor: Sendable {
    private let pool: Pool

    package init(pool: Pool) {
        self.pool = pool
    }

    /// Events in one COPY, at most: each is done long before the session's `statement_timeout`.
    private static let eventsMax: Int64 = 500_000

    /// Hands the events after `position` and up to `end` to the closure, some thousand at a time, each exactly once and
    /// none left out.
    ///
    /// The closure computes where it keeps nobody waiting, and not on the reactor. PostgreSQL goes on reading meanwhile.
    ///
    /// - Throws: ``StoreError/Code/incomplete`` where an event is not there any more; what the closure throws.
    package func read(
        _ job: JobID, after position: Int64, through end: Int64, _ body: ([Event]) throws -> Void
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
        _ job: JobID, after position: inout Int64, through end: Int64, _ body: ([Event]) throws -> Void
    ) async throws {
        var reader = CopyRowReader()
        var last = position
        try await pool.withTransaction(readOnly: true) { transaction in
            try await transaction.copyOut(Self.statement(job, after: last, through: end)) { chunk in
                try await withTaskExecutorPreference(globalConcurrentExecutor) { () async throws in
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

    /// A part of a job's events: those after one and up to another.
    package struct Part: Sendable {
        package let job: JobID
        package let after: Int64
        package let end: Int64

        package init(_ job: JobID, after: Int64, through end: Int64) {
            self.job = job
            self.after = after
            self.end = end
        }
    }

    /// Hands the events of many jobs to the closure in one COPY, job by job and in order, each exactly once and none left
    /// out, with the index of its part: as they are in the view of this transaction.
    ///
    /// The closure computes where it keeps nobody waiting, and not on the reactor.
    ///
    /// - Throws: ``StoreError/Code/incomplete`` where an event is not there any more; what the closure throws.
    package static func read(
        _ parts: [Part], in transaction: inout Transaction, _ body: (Int, Event) throws -> Void
    ) async throws {
        var reader = CopyRowReader()
        var index = 0
        var last = parts.first?.after ?? 0
        try await transaction.copyOut(statement(parts)) { chunk in
            try await withTaskExecutorPreference(globalConcurrentExecutor) { () async throws in
                var failure: (any Error)?
                try reader.read(chunk) { row throws(PQError) in
                    let event = try FoldedEventRow.decode(&row)
                    if failure != nil { return }
                    do {
                        // Where one part ends the next one begins: one that lacks something does not go on as it should,
                        // or all of them end too early.
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

    // PostgreSQL reads job by job, since a part with an order of its own is not mixed with others; were it otherwise, it
    // would be noticed above. Sorting all of it to be sure would cost as much as reading it, and each column that is sent
    // costs some five per cent of that: so a row does not say which job it is of.
    private static func statement(_ parts: [Part]) -> String {
        // Of a single part PostgreSQL knows how many events it has, and reads them in the order of its index. Where it
        // joins parts it expects a few and sorts them first, which of a large job is half a million on the disk.
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

    // COPY takes no parameters: what is written into the statement are an id and whole numbers, whose texts are safe.
    private static func statement(_ job: JobID, after position: Int64, through end: Int64) -> String {
        """
        copy (
            select \(FoldedEventRow.columns)
            from ledger.event
            where job_id = '\(job)' and sequence > \(position) and sequence <= \(end)
            order by sequence
        ) to stdout (format binary)
        """
    }

    private static func missing(_ sequence: Int64, _ job: JobID) -> StoreError {
        StoreError(.incomplete, "event \(sequence) of job \(job) is not there any more", jobs: [job])
    }
}
