internal import Ledger
internal import PQ

/// Reads the account of an indicator's units, execution by execution.
struct ExplainReader: Sendable {
    let pool: Pool
    /// Whether only executions with units that do not count are read.
    var onlyUncounted = false

    /// The maximum number of executions that are read for one page.
    ///
    /// An indicator that few of them reported returns a short page with a cursor rather than after a long wait.
    private static let scannedMax = 50_000
    private static let chunkMax = 1_000

    /// Reads a page of the explanation, as of one moment.
    func explain(
        _ job: JobID, _ label: Name?, limit: Int, after cursor: Explanation.Cursor?
    ) async throws(PQError) -> ExplanationResult {
        return try await pool.withTransaction(isolation: .repeatableRead, readOnly: true) {
            transaction throws(PQError) in
            let rows = try await transaction.pipeline([IndexedLookup.planning, Self.start(job, label)])
            guard let row = rows.last?.first else { return .noSuchJob }
            var columns = row.columns
            guard let indicator = try IndicatorRow.decodeIfPresent(&columns) else { return .noSuchIndicator }
            let projection = try columns.next(Int16.self)
            var explanation = Explanation(
                sequence: try columns.next(), indicator: indicator, entries: [], nextCursor: nil)
            var position = cursor ?? .start
            var scanned = 0
            while true {
                let chunk = try await transaction.query(
                    chunk(job, projection, after: position, indicator.id))
                for row in chunk {
                    let (entry, cursor) = try Self.entry(row, indicator.id)
                    position = cursor
                    guard let entry else { continue }
                    explanation.entries.append(entry)
                    guard explanation.entries.count < limit else { break }
                }
                scanned += chunk.count
                let isFull = explanation.entries.count == limit || scanned >= Self.scannedMax
                guard chunk.count == Self.chunkMax || isFull else { break }
                if isFull {
                    explanation.nextCursor = position
                    break
                }
            }
            return .found(explanation)
        }
    }

    /// Whether any event of the job names the label.
    ///
    /// The indicators show it for folded events, so only events that the projection has not reached are searched:
    /// all of them if the job has no live snapshot.
    func isNamed(_ label: Name?, in job: JobID) async throws(PQError) -> Bool {
        let rows = try await pool.query(
            Query(
                """
                select
                    exists (
                        select from ledger.snapshot
                        join ledger.indicator
                            on indicator.job_id = snapshot.job_id and indicator.projection = snapshot.projection
                            and indicator.label = $2
                        where snapshot.job_id = $1 and snapshot.is_live
                    )
                    or exists (
                        select from ledger.event
                        where job_id = $1
                            and sequence > coalesce(
                                (select sequence from ledger.snapshot where job_id = $1 and is_live), 0)
                            and type = 3 and coalesce(label, '') = $2
                    )
                """, [.uuid(job.uuid), .text(label?.text ?? "")]))
        return try rows.first?.decode(0) ?? false
    }

    private static func start(_ job: JobID, _ label: Name?) -> Query {
        Query(
            """
            select \(IndicatorRow.columns), snapshot.projection, snapshot.sequence
            from ledger.job
            left join ledger.snapshot on snapshot.job_id = job.job_id and snapshot.is_live
            left join ledger.indicator
                on indicator.job_id = snapshot.job_id and indicator.projection = snapshot.projection
                and indicator.label = $2
            where job.job_id = $1
            """, [.uuid(job.uuid), .text(label?.text ?? "")])
    }

    /// The statement that reads the next executions, by task, attempt and first event.
    ///
    /// A row also contains the execution that superseded it, and the units that were discarded for this indicator: null
    /// without discarded events, which may also have no units.
    private func chunk(
        _ job: JobID, _ projection: Int16, after position: Explanation.Cursor, _ indicator: IndicatorID
    ) -> Query {
        let uncounted = """
            and (
                superseded_by is not null
                or exists (
                    select from ledger.discard as found
                    where found.job_id = $1 and found.projection = $2 and found.execution = execution.sequence
                        and found.indicator = $7
                )
            )
            """
        return Query(
            """
            select
                \(ExecutionRow.columns), discarded.total, discarded.done, task.name, winner.sequence, winner.name,
                winner.attempt
            from (
                select * from ledger.execution
                where job_id = $1 and projection = $2 and (task, attempt, sequence) > ($3, $4, $5)
                    \(onlyUncounted ? uncounted : "")
                order by task, attempt, sequence
                limit $6
            ) as execution
            cross join lateral (
                select name from ledger.task as found
                where found.job_id = $1 and found.projection = $2
                    and found.sequence between execution.task and execution.task
                order by found.sequence
                limit 1
            ) as task
            left join lateral (
                select name, attempt, sequence from ledger.execution as found
                where found.job_id = $1 and found.projection = $2
                    and found.sequence between execution.superseded_by and execution.superseded_by
                order by found.sequence
                limit 1
            ) as winner on true
            cross join lateral (
                select sum(total)::numeric as total, sum(done)::numeric as done
                from ledger.discard as found
                where found.job_id = $1 and found.projection = $2 and found.execution = execution.sequence
                    and found.indicator = $7
            ) as discarded
            order by execution.task, execution.attempt, execution.sequence
            """,
            [
                .uuid(job.uuid), .int2(projection), .id(position.task), .int4(position.attempt),
                .id(position.execution), .int8(Int64(Self.chunkMax)), .id(indicator),
            ])
    }

    /// The entry of a row's execution, with its cursor position.
    ///
    /// The entry is `nil` if no event of the execution has named the indicator.
    private static func entry(
        _ row: Row, _ indicator: IndicatorID
    ) throws(PQError) -> (entry: Explanation.Entry?, cursor: Explanation.Cursor) {
        var columns = row.columns
        let execution = try ExecutionRow.decode(&columns)
        let cursor = Explanation.Cursor(
            task: execution.task, attempt: execution.attempt, execution: execution.id)
        let discardedTotal = try columns.nextIfPresent(Int128.self)
        let discardedDone = try columns.nextIfPresent(Int128.self)
        let discarded = discardedTotal.map { Units(total: $0, done: discardedDone ?? 0) }
        let reported = execution.contributions.entries.first { $0.indicator == indicator }?.units
        guard reported != nil || discarded != nil else { return (nil, cursor) }
        let task = try columns.next(Name.self)
        var winner: ExecutionIdentity?
        if let id = try columns.nextIfPresent(ExecutionID.self) {
            winner = ExecutionIdentity(
                execution: try columns.nextIfPresent(), attempt: try columns.next(), id: id)
        }
        return (
            Explanation.Entry(
                task: task, execution: execution.identity, reported: reported ?? .zero,
                discarded: discarded ?? .zero,
                isCounted: execution.isLast, supersededBy: winner), cursor
        )
    }
}
