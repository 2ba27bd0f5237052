internal import Ledger
internal import LedgerStore
internal import PQ

/// The statements that read the state parts that the next events touch.
///
/// Their cost depends on the number of events and not on the size of the jobs.
enum StateQueries {
    private static let indicatorColumns = "indicator.job_id, \(IndicatorRow.columns), indicator.pattern"

    /// The kind of state that a statement reads.
    enum Part {
        /// Tasks with their last executions, and the named executions.
        ///
        /// A named execution that is the last one is not read twice.
        case tasks
        /// The first execution of each attempt.
        case attempts
        /// Indicators by label.
        case labels
    }

    /// Returns the statements that read tasks, their executions, and indicators.
    ///
    /// There is none for a part of which the folds have everything. They must run after ``IndexedLookup/planning``, in
    /// its transaction.
    static func queries(for claims: ClaimedJobs) -> [(part: Part, query: Query)] {
        var tasks = Keys()
        var attempts = Keys()
        var labels = Keys()
        for job in claims.jobs {
            let needs = FoldKeys(of: job.events, missingIn: job.fold)
            var named: Set<Name> = []
            for execution in needs.namedExecutions {
                named.insert(execution.task)
                tasks.add(job, execution.task.text, name: execution.name.text)
            }
            for task in needs.tasks where !named.contains(task) { tasks.add(job, task.text) }
            for attempted in needs.attemptedExecutions {
                attempts.add(job, attempted.task.text, attempt: attempted.attempt)
            }
            for label in needs.labels { labels.add(job, label?.text ?? "") }
        }
        var queries: [(part: Part, query: Query)] = []
        if !tasks.isEmpty { queries.append((.tasks, taskQuery(tasks))) }
        if !attempts.isEmpty { queries.append((.attempts, attemptedQuery(attempts))) }
        if !labels.isEmpty { queries.append((.labels, labelQuery(labels))) }
        return queries
    }

    /// Returns the statements that read indicators by sequence and report pages.
    ///
    /// They depend on the states read before. Empty if no job needs any.
    static func dependentQueries(for claims: ClaimedJobs) -> [Query] {
        var indicators = Keys()
        var pages = Keys()
        for job in claims.jobs {
            let needs = job.fold.dependentKeys(of: job.events)
            for id in needs.indicators { indicators.add(job, "", first: id.sequence) }
            for key in needs.pages {
                pages.add(job, "", first: key.execution.sequence, page: key.page, part: key.part)
            }
        }
        guard !indicators.isEmpty || !pages.isEmpty else { return [] }
        return [indicatorQuery(indicators), pageQuery(pages)]
    }

    /// The keys of a lookup, column by column.
    private struct Keys {
        var jobs: [UUIDBytes?] = []
        var projections: [Int16?] = []
        var texts: [String?] = []
        var names: [String?] = []
        var attempts: [Int32?] = []
        /// The first events, of indicators or of executions.
        var firstSequences: [EventSequence?] = []
        var pages: [Int64?] = []
        var parts: [String?] = []

        var isEmpty: Bool { jobs.isEmpty }

        mutating func add(
            _ job: ClaimedJobs.Job, _ text: String, name: String? = nil, attempt: Int32? = nil,
            first sequence: EventSequence? = nil, page: Int64? = nil, part: Name? = nil
        ) {
            jobs.append(job.id.uuid)
            projections.append(job.projection)
            texts.append(text)
            names.append(name)
            attempts.append(attempt)
            firstSequences.append(sequence)
            pages.append(page)
            parts.append(part?.text ?? "")
        }
    }

    // Each requested row is looked up separately, in the order of the one index that finds it at once: see
    // ``IndexedLookup``. "limit 1" prevents PostgreSQL from starting with another table. A column that is "between" a
    // value and the same value can still be ordered by; a column that is equal to the value could not.

    /// The SQL that looks up the task of each `requested` row.
    private static let taskLookup = """
        cross join lateral (
            select * from ledger.task as found
            where found.job_id = requested.job_id and found.projection = requested.projection
                and found.name between requested.task and requested.task
            order by found.name
            limit 1
        ) as task
        """

    private static func taskQuery(_ keys: Keys) -> Query {
        Query(taskSQL, [.uuids(keys.jobs), .int2s(keys.projections), .texts(keys.texts), .texts(keys.names)])
    }

    /// The SQL that looks up tasks with their last and their named executions.
    ///
    /// Most events belong to the last execution of their task; then no other execution is looked up.
    private static let taskSQL = """
        select
            task.job_id, task.sequence, task.name, task.last, task.state, task.execution_count,
            \(ExecutionRow.columns(of: "last")), last.work, \(ExecutionRow.columns)
        from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[]) as requested (job_id, projection, task, name)
        \(taskLookup)
        cross join lateral (
            select * from ledger.execution as found
            where found.job_id = requested.job_id and found.projection = requested.projection
                and found.sequence between task.last and task.last
            order by found.sequence
            limit 1
        ) as last
        left join lateral (
            select * from ledger.execution as found
            where last.name is distinct from requested.name
                and found.job_id = requested.job_id and found.projection = requested.projection
                and found.task = task.sequence and found.name between requested.name and requested.name
            order by found.name
            limit 1
        ) as execution on true
        """

    private static func attemptedQuery(_ keys: Keys) -> Query {
        Query(attemptedSQL, [.uuids(keys.jobs), .int2s(keys.projections), .texts(keys.texts), .int4s(keys.attempts)])
    }

    private static let attemptedSQL = """
        select task.job_id, \(ExecutionRow.columns)
        from unnest($1::uuid[], $2::smallint[], $3::text[], $4::integer[])
            as requested (job_id, projection, task, attempt)
        \(taskLookup)
        cross join lateral (
            select * from ledger.execution as found
            where found.job_id = requested.job_id and found.projection = requested.projection
                and found.task = task.sequence and found.attempt between requested.attempt and requested.attempt
            order by found.attempt, found.sequence
            limit 1
        ) as execution
        where execution.sequence <> task.last
        """

    private static func labelQuery(_ keys: Keys) -> Query {
        Query(
            """
            select \(indicatorColumns)
            from unnest($1::uuid[], $2::smallint[], $3::text[]) as requested (job_id, projection, label)
            cross join lateral (
                select * from ledger.indicator as found
                where found.job_id = requested.job_id and found.projection = requested.projection
                    and found.label between requested.label and requested.label
                order by found.label
                limit 1
            ) as indicator
            """, [.uuids(keys.jobs), .int2s(keys.projections), .texts(keys.texts)])
    }

    private static func indicatorQuery(_ keys: Keys) -> Query {
        Query(
            """
            select \(indicatorColumns)
            from unnest($1::uuid[], $2::smallint[], $3::bigint[]) as requested (job_id, projection, sequence)
            cross join lateral (
                select * from ledger.indicator as found
                where found.job_id = requested.job_id and found.projection = requested.projection
                    and found.sequence between requested.sequence and requested.sequence
                order by found.sequence
                limit 1
            ) as indicator
            """, [.uuids(keys.jobs), .int2s(keys.projections), .sequences(keys.firstSequences)])
    }

    private static func pageQuery(_ keys: Keys) -> Query {
        Query(
            """
            select page.job_id, page.execution, page.part, page.page, page.entries
            from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[])
                as requested (job_id, projection, execution, page, part)
            cross join lateral (
                select * from ledger.report_page as found
                where found.job_id = requested.job_id and found.projection = requested.projection
                    and found.execution = requested.execution and found.part = requested.part
                    and found.page = requested.page
                limit 1
            ) as page
            """,
            [
                .uuids(keys.jobs), .int2s(keys.projections), .sequences(keys.firstSequences), .int8s(keys.pages),
                .texts(keys.parts),
            ])
    }
}
