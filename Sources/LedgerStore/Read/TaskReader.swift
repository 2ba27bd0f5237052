internal import Ledger
internal import PQ

/// Reads the tasks of a job with their executions.
struct TaskReader: Sendable {
    let pool: Pool
    /// The silent executions.
    let silence: JobSilence
    /// The tasks that are read, and their order.
    let filter: TaskFilter

    /// The number of tasks that are read at once.
    private static let chunkMax = 100
    /// The number of contributions at which a page ends early.
    ///
    /// A page of tasks with very many labels is short rather than large.
    private static let contributionsMax = 50_000
    /// The number of tasks that are searched for silent ones at most, for one page.
    private static let searchedMax = 5_000

    /// Reads a page of tasks as of one moment, or `nil` if the job does not exist.
    ///
    /// - Parameter cursor: ``TaskPage/nextCursor`` of the previous page.
    func tasks(_ job: JobID, limit: Int, after cursor: TaskID?) async throws(PQError) -> TaskPage? {
        return try await pool.withTransaction(isolation: .repeatableRead, readOnly: true) {
            transaction throws(PQError) in
            let snapshot = Query(
                """
                select snapshot.projection, snapshot.sequence, snapshot.state
                from ledger.job
                left join ledger.snapshot on snapshot.job_id = job.job_id and snapshot.is_live
                where job.job_id = $1
                """, [.uuid(job.uuid)])
            // Another order than that of an index has to be sorted.
            let live = try await transaction.pipeline(
                (filter.order.isPaged ? [IndexedLookup.planning] : []) + [snapshot])
            guard let row = live.last?.first else { return nil }
            guard let number = try row.decodeIfPresent(0, as: Int16.self) else {
                return TaskPage(sequence: 0, tasks: [], nextCursor: nil)
            }
            guard let jobState = JobState(rawValue: try row.decode(2)) else {
                throw PQError(.decoding, "a snapshot has an unknown state")
            }
            let projection = Projection(job: job, number: number, jobState: jobState)
            var page = TaskPage(sequence: try row.decode(1), tasks: [], nextCursor: nil)
            // A stored task cannot have this state while the job is in its current state.
            var stored = filter.state.map { $0.stored(in: jobState) }
            if case .some(nil) = stored { return page }
            var only: [TaskID]?
            if filter.onlySilent {
                guard jobState == .running, stored == nil || stored == .running else { return page }
                stored = .running
                if silence.isComplete {
                    let found = try await tasks(of: silence.executions, in: projection, &transaction)
                    if found.isEmpty { return page }
                    only = found
                }
            }
            let isPaged = filter.order.isPaged
            let searchesSilent = filter.onlySilent && only == nil
            page.nextCursor = isPaged ? cursor : nil
            var contributions = 0
            var searched = 0
            while page.tasks.count < limit, contributions < Self.contributionsMax, searched < Self.searchedMax {
                // An order that is not paged cannot be continued, so it is read at once.
                let size =
                    !isPaged
                    ? (searchesSilent ? Self.searchedMax : limit)
                    : searchesSilent ? Self.chunkMax : min(limit - page.tasks.count, Self.chunkMax)
                var chunk = try await read(
                    projection, stored ?? nil, only, after: page.nextCursor, limit: size, &transaction)
                searched += size
                contributions += chunk.reduce(0) { $1.executions.reduce($0) { $0 + $1.progress.count } }
                page.nextCursor = isPaged && chunk.count == size ? chunk.last?.id : nil
                for index in chunk.indices { chunk[index].markSilence(silence) }
                if filter.onlySilent { chunk.removeAll { $0.executions.last?.silentSince == nil } }
                if chunk.count > limit - page.tasks.count {
                    chunk.removeLast(chunk.count - (limit - page.tasks.count))
                    page.nextCursor = isPaged ? chunk.last?.id : nil
                }
                page.tasks += chunk
                if page.nextCursor == nil { break }
            }
            return page
        }
    }

    /// Reads the tasks of executions.
    private func tasks(
        of executions: Set<ExecutionID>, in projection: Projection, _ transaction: inout Transaction
    ) async throws(PQError) -> [TaskID] {
        guard !executions.isEmpty else { return [] }
        let rows = try await transaction.query(
            Query(
                """
                select execution.task
                from unnest($3::bigint[]) as requested (sequence)
                cross join lateral (
                    select found.task from ledger.execution as found
                    where found.job_id = $1 and found.projection = $2
                        and found.sequence between requested.sequence and requested.sequence
                    order by found.sequence
                    limit 1
                ) as execution
                """,
                [.uuid(projection.job.uuid), .int2(projection.number), .ids(executions.sorted())]))
        var tasks: [TaskID] = []
        for row in rows { tasks.append(try row.decode(0)) }
        return tasks
    }

    private struct Projection {
        let job: JobID
        let number: Int16
        let jobState: JobState
    }

    /// The value by which an order that is not paged sorts tasks, ascending.
    ///
    /// - Parameter jobState: The state of the job. Executions without an end of a job that has ended have taken until
    ///   their last event.
    private static func sortKey(_ order: TaskOrder, _ jobState: JobState) -> String? {
        switch order {
        case .started, .newest: nil
        case .name: "found.name collate \"C\""
        case .attempts: "-found.execution_count"
        case .longest:
            jobState == .running
                ? "last.started_at - case when last.outcome is null then now() else last.last_at end"
                : "last.started_at - last.last_at"
        case .quietest: "(last.outcome is not null)::int, last.last_at"
        }
    }

    /// The statement that reads some tasks and their highest executions.
    private func statement(
        _ projection: Projection, _ state: TaskState?, _ only: [TaskID]?, after cursor: TaskID?, limit: Int
    ) -> Query {
        let isDescending = filter.order == .newest
        var parameters: [Parameter] = [
            .uuid(projection.job.uuid), .int2(projection.number),
            .sequence(cursor?.sequence ?? (isDescending ? EventSequence(Int64.max) : .start)), .text(state?.rawValue),
            .int8(Int64(limit)),
            .int8(Int64(TaskSummary.executionsMax)),
        ]
        if let only { parameters.append(.ids(only)) }
        var names = ""
        func require(_ parameter: Parameter, _ condition: (String) -> String) {
            parameters.append(parameter)
            names += " and " + condition("$\(parameters.count)")
        }
        // Found by the index of names first. PostgreSQL would otherwise look at all tasks in the order of the page.
        if let name = filter.name {
            require(.text(name.text)) { name in
                """
                found.sequence = (
                    select one.sequence from ledger.task as one
                    where one.job_id = $1 and one.projection = $2 and one.name between \(name) and \(name)
                    order by one.name
                    limit 1
                )
                """
            }
        }
        if let search = filter.search {
            // A longer text matches no name, and its pattern would be long.
            let isPossible = search.scalarCount <= Limits.taskLengths.upperBound
            require(.text(isPossible ? search.searchPattern : nil)) { "found.name collate \"C\" ~ \($0)" }
        }
        let direction = isDescending ? "desc" : "asc"
        let selection =
            if let key = Self.sortKey(filter.order, projection.jobState) {
                """
                select found.*, row_number() over (order by \(key), found.sequence) as position
                from ledger.task as found
                join ledger.execution as last
                    on last.job_id = $1 and last.projection = $2 and last.sequence = found.last
                where found.job_id = $1 and found.projection = $2 and found.sequence > $3
                    and ($4::text is null or found.state = $4)\(only == nil ? "" : " and found.sequence = any($7)")\(names)
                order by position
                limit $5
                """
            } else if only != nil {
                """
                select found.*
                from unnest($7::bigint[]) as requested (sequence)
                cross join lateral (
                    select * from ledger.task as one
                    where one.job_id = $1 and one.projection = $2
                        and one.sequence between requested.sequence and requested.sequence
                    order by one.sequence
                    limit 1
                ) as found
                where requested.sequence \(isDescending ? "<" : ">") $3 and ($4::text is null or found.state = $4)\(names)
                order by found.sequence \(direction)
                limit $5
                """
            } else {
                """
                select * from ledger.task as found
                where job_id = $1 and projection = $2 and sequence \(isDescending ? "<" : ">") $3
                    and ($4::text is null or state = $4)\(names)
                order by sequence \(direction)
                limit $5
                """
            }
        return Query(
            """
            select \(ExecutionRow.columns), task.name, task.state, task.sequence, task.execution_count
            from (
                \(selection)
            ) as task
            cross join lateral (
                select * from ledger.execution as found
                where found.job_id = $1 and found.projection = $2 and found.task = task.sequence
                order by found.attempt desc, found.sequence desc
                limit $6
            ) as execution
            order by \(filter.order.isPaged ? "task.sequence \(direction)" : "task.position"), execution.attempt, execution.sequence
            """, parameters)
    }

    private func read(
        _ projection: Projection, _ state: TaskState?, _ only: [TaskID]?, after cursor: TaskID?, limit: Int,
        _ transaction: inout Transaction
    ) async throws(PQError) -> [TaskSummary] {
        let rows = try await transaction.query(statement(projection, state, only, after: cursor, limit: limit))
        var executions: [Execution] = []
        for row in rows {
            var columns = row.columns
            executions.append(try ExecutionRow.decode(&columns))
        }
        let (labels, notes) = try await Self.labelsAndNotes(projection, of: executions, &transaction)
        var tasks: [TaskSummary] = []
        for (row, execution) in zip(rows, executions) {
            if tasks.last?.id != execution.task {
                var columns = row.columns
                columns.skip(ExecutionRow.columnCount)
                let name = try columns.next(Name.self)
                guard let state = TaskState(rawValue: try columns.next()) else {
                    throw PQError(.decoding, "a task has an unknown state")
                }
                tasks.append(
                    TaskSummary(
                        name: name, state: state.shown(in: projection.jobState), id: try columns.next(),
                        executionCount: try columns.next(), executions: []))
            }
            var summary = ExecutionSummary(execution, labels: labels)
            summary.setNotes(notes)
            tasks[tasks.count - 1].executions.append(summary)
        }
        return tasks
    }

    /// Reads the labels of the executions' indicators, and the executions' notes.
    private static func labelsAndNotes(
        _ projection: Projection, of executions: [Execution], _ transaction: inout Transaction
    ) async throws(PQError) -> (labels: [IndicatorID: Name?], notes: [EventSequence: EventNotes]) {
        let indicators = Set(executions.flatMap { $0.contributions.entries.map(\.indicator) })
        let notes = EventNotesLookup.query(projection.job, executions.flatMap(\.notedEvents))
        guard !indicators.isEmpty else {
            return ([:], try EventNotesLookup.notes(try await transaction.query(notes)))
        }
        let labels = Query(
            """
            select indicator.sequence, indicator.label
            from unnest($3::bigint[]) as requested (sequence)
            cross join lateral (
                select sequence, label from ledger.indicator as found
                where found.job_id = $1 and found.projection = $2
                    and found.sequence between requested.sequence and requested.sequence
                order by found.sequence
                limit 1
            ) as indicator
            """,
            [.uuid(projection.job.uuid), .int2(projection.number), .ids(Array(indicators))])
        let results = try await transaction.pipeline([labels, notes])
        return (try Self.labels(results[0]), try EventNotesLookup.notes(results[1]))
    }

    private static func labels(_ rows: Rows) throws(PQError) -> [IndicatorID: Name?] {
        var labels: [IndicatorID: Name?] = [:]
        for row in rows {
            let label = try row.decode(1, as: Name.self)
            labels.updateValue(label.text.utf8.isEmpty ? nil : label, forKey: try row.decode(0, as: IndicatorID.self))
        }
        return labels
    }
}
