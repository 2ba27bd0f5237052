internal import Ledger
internal import PQ

/// Reads the events of a job with their verdicts.
struct EventReader: Sendable {
    let pool: Pool

    /// The maximum number of events that are read for one page.
    ///
    /// A filter that few events match returns a short page with a cursor rather than after a long wait.
    private static let scannedMax = 20_000
    /// The number of events that are read at once.
    private static let chunkMax = 1_000

    /// Reads a page of events, or returns `nil` if the job does not exist.
    func events(
        _ job: JobID, _ filter: EventFilter, after: EventSequence?, limit: Int
    ) async throws(PQError) -> EventPage? {
        var events: [ExplainedEvent] = []
        var position = after
        var scanned = 0
        let needsVerdicts = filter.verdict != nil || filter.execution != nil
        while scanned < Self.scannedMax {
            // Without a filter by results of the fold, every event that is read is part of the page.
            let size = needsVerdicts ? Self.chunkMax : min(limit - events.count, Self.chunkMax)
            let chunk = try await read(job, filter, after: position, limit: size)
            if chunk.isEmpty, position == nil, scanned == 0 {
                guard try await exists(job) else { return nil }
            }
            scanned += chunk.count
            let explained = try await explain(job, chunk)
            for event in explained where filter.accepts(event) {
                events.append(event)
                if events.count == limit { return EventPage(events: events, nextAfter: event.event.sequence) }
            }
            position = chunk.last?.event.sequence ?? position
            guard chunk.count == size else {
                if after != nil, events.isEmpty, scanned == 0 {
                    guard try await exists(job) else { return nil }
                }
                return EventPage(events: events, nextAfter: nil)
            }
        }
        return EventPage(events: events, nextAfter: position)
    }

    private func exists(_ job: JobID) async throws(PQError) -> Bool {
        try await !pool.query(Query("select 1 from ledger.job where job_id = $1", [.uuid(job.uuid)])).isEmpty
    }

    private func read(
        _ job: JobID, _ filter: EventFilter, after: EventSequence?, limit: Int
    ) async throws(PQError) -> [(event: Event, hash: EventHash)] {
        var conditions = ["event.job_id = $1"]
        var parameters: [Parameter] = [.uuid(job.uuid)]
        func require(_ condition: (String) -> String, _ parameter: Parameter) {
            parameters.append(parameter)
            conditions.append(condition("$\(parameters.count)"))
        }
        let isAscending = filter.order == .ascending
        if let after { require({ "event.sequence \(isAscending ? ">" : "<") \($0)" }, .sequence(after)) }
        if let task = filter.task { require({ "event.task = \($0)" }, .text(task.text)) }
        if let type = filter.type { require({ "event.type = \($0)" }, .int2(type.rawValue)) }
        if let indicator = filter.indicator {
            require({ "event.type = \($0)" }, .int2(EventType.progress.rawValue))
            if let label = indicator.label {
                require({ "event.label = \($0)" }, .text(label.text))
            } else {
                conditions.append("event.label is null")
            }
        }
        parameters.append(.int8(Int64(limit)))
        let sql = """
            select \(EventRow.columns)
            from \(EventRow.table)
            where \(conditions.joined(separator: " and "))
            order by event.sequence \(isAscending ? "asc" : "desc")
            limit $\(parameters.count)
            """
        var events: [(event: Event, hash: EventHash)] = []
        for row in try await pool.query(Query(sql, parameters)) {
            var columns = row.columns
            events.append(try EventRow.decode(&columns))
        }
        return events
    }

    /// Adds the verdicts to events of one job.
    private func explain(
        _ job: JobID, _ events: [(event: Event, hash: EventHash)]
    ) async throws(PQError) -> [ExplainedEvent] {
        guard let first = events.first?.event.sequence, let last = events.last?.event.sequence else { return [] }
        let range = min(first, last)...max(first, last)
        let tasks = Set(events.compactMap { $0.event.body.reference?.task })
        let findings = try await findings(job, tasks, range)
        return events.map { findings.explain($0.event, hash: $0.hash) }
    }

    private func findings(
        _ job: JobID, _ tasks: Set<Name>, _ range: ClosedRange<EventSequence>
    ) async throws(PQError) -> Findings {
        // The checkpoint is read first: later results may be ahead of it, but never behind. A retired job has no
        // verdicts; its events may still be stored until their month is detached.
        let results = try await pool.lookUp([
            Query(
                """
                select snapshot.sequence
                from ledger.snapshot
                join ledger.job_head as head on head.job_id = snapshot.job_id and head.retired_hash is null
                where snapshot.job_id = $1 and snapshot.is_live
                """, [.uuid(job.uuid)]),
            Query(
                """
                select task.name, \(ExecutionRow.columns)
                from ledger.snapshot
                cross join unnest($2::text[]) as requested (name)
                cross join lateral (
                    select name, sequence from ledger.task as found
                    where found.job_id = $1 and found.projection = snapshot.projection
                        and found.name between requested.name and requested.name
                    order by found.name
                    limit 1
                ) as task
                cross join lateral (
                    select * from ledger.execution as found
                    where found.job_id = $1 and found.projection = snapshot.projection and found.task = task.sequence
                    order by found.attempt, found.sequence
                    offset 0
                ) as execution
                where snapshot.job_id = $1 and snapshot.is_live
                """, [.uuid(job.uuid), .texts(tasks.map(\.text))]),
            Query(
                """
                select discard.sequence, discard.verdict, discard.duplicate_of
                from ledger.snapshot
                cross join lateral (
                    select * from ledger.discard as found
                    where found.job_id = $1 and found.projection = snapshot.projection
                        and found.sequence between $2 and $3
                    order by found.sequence
                    offset 0
                ) as discard
                where snapshot.job_id = $1 and snapshot.is_live
                """, [.uuid(job.uuid), .sequence(range.lowerBound), .sequence(range.upperBound)]),
        ])
        var findings = Findings()
        findings.checkpoint = try results[0].first?.decode(0) ?? 0
        var executions: [Name: [Execution]] = [:]
        for row in results[1] {
            var columns = row.columns
            executions[try columns.next(), default: []].append(try ExecutionRow.decode(&columns))
        }
        findings.histories = executions.mapValues { ExecutionClassifier($0) }
        for row in results[2] {
            guard let verdict = Verdict(rawValue: try row.decode(1)) else {
                throw PQError(.decoding, "an event has an unknown verdict")
            }
            findings.discards[try row.decode(0)] = (verdict, try row.decodeIfPresent(2))
        }
        return findings
    }

    func verdicts(_ job: JobID, _ sequences: ClosedRange<EventSequence>) async throws(PQError) -> [Verdict?] {
        var verdicts: [Verdict?] = []
        var position = sequences.lowerBound - 1
        while position < sequences.upperBound {
            let size = min(Self.chunkMax, Int(sequences.upperBound - position))
            let chunk = try await read(job, EventFilter(), after: position, limit: size)
            guard let last = chunk.last else { break }
            verdicts += try await explain(job, chunk).map(\.verdict)
            position = last.event.sequence
        }
        return verdicts
    }

    func status(
        of execution: Name, task: Name, in job: JobID, at sequence: EventSequence
    ) async throws(PQError) -> ExecutionStatus? {
        let results = try await pool.lookUp([
            Query(
                """
                select execution.name, execution.attempt, execution.sequence, last.name, last.attempt, last.sequence
                from ledger.snapshot
                cross join lateral (
                    select sequence from ledger.task as found
                    where found.job_id = $1 and found.projection = snapshot.projection
                        and found.name between $2 and $2
                    order by found.name
                    limit 1
                ) as task
                cross join lateral (
                    select name, attempt, sequence from ledger.execution as found
                    where found.job_id = $1 and found.projection = snapshot.projection
                        and found.task = task.sequence and found.name between $3 and $3
                    order by found.name
                    limit 1
                ) as execution
                cross join lateral (
                    select name, attempt, sequence from ledger.execution as found
                    where found.job_id = $1 and found.projection = snapshot.projection
                        and found.task = task.sequence and found.sequence <= $4
                    order by found.task desc, found.attempt desc, found.sequence desc
                    limit 1
                ) as last
                where snapshot.job_id = $1 and snapshot.is_live
                """, [.uuid(job.uuid), .text(task.text), .text(execution.text), .sequence(sequence)])
        ])
        guard let row = results.first?.first else { return nil }
        var columns = row.columns
        return ExecutionStatus(execution: try identity(&columns), last: try identity(&columns))
    }

    private func identity(_ columns: inout RowColumns) throws(PQError) -> ExecutionIdentity {
        ExecutionIdentity(
            execution: try columns.nextIfPresent(), attempt: try columns.next(), id: try columns.next())
    }
}

/// The projection's results that determine the verdicts of some events.
private struct Findings {
    /// The last event that the projection has folded.
    var checkpoint: EventSequence = 0
    /// The executions of the tasks.
    var histories: [Name: ExecutionClassifier] = [:]
    /// The discarded events.
    var discards: [EventSequence: (verdict: Verdict, duplicateOf: EventSequence?)] = [:]

    func explain(_ event: Event, hash: EventHash) -> ExplainedEvent {
        var explained = ExplainedEvent(
            event: event, hash: hash, execution: event.body.reference?.execution, attempt: event.body.reference?.attempt
        )
        guard event.sequence <= checkpoint else { return explained }
        guard let reference = event.body.reference else {
            explained.verdict = .counted
            return explained
        }
        let history = histories[reference.task]
        if let execution = history?.execution(of: reference) {
            explained.execution = reference.execution ?? execution.name
            explained.attempt = reference.attempt ?? execution.attempt
        }
        if let discard = discards[event.sequence] {
            explained.verdict = discard.verdict
            explained.duplicateOf = discard.duplicateOf
        } else if let classification = history?.classification(of: reference, at: event.sequence) {
            explained.verdict = classification.supersededBy == nil ? .counted : .superseded
            explained.late = classification.isLate
            explained.supersededBy = classification.supersededBy
        }
        return explained
    }
}

extension EventFilter {
    /// Whether an event matches the parts of the filter that depend on the fold.
    fileprivate func accepts(_ event: ExplainedEvent) -> Bool {
        if let verdict, event.verdict != verdict { return false }
        if let execution, event.execution != execution { return false }
        return true
    }
}
