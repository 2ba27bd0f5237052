internal import Ledger
internal import LedgerStore
internal import PQ

/// The statements that read the parts of the states of claimed jobs which their next events touch: by the number of
/// events, not by the size of the jobs.
enum StateQueries {
    private static let indicatorColumns = """
        indicator.job_id, indicator.sequence, indicator.label, indicator.received_total, indicator.received_done,
        indicator.counted_total, indicator.counted_done, indicator.superseded_total, indicator.superseded_done,
        indicator.discarded_total, indicator.discarded_done, indicator.counted_events, indicator.superseded_events,
        indicator.updated_at
        """

    /// Tasks with their last executions and, where they are others, the executions that are named; the first of an
    /// attempt; indicators by label.
    ///
    /// They are to be run after ``IndexedLookup/planning``, in its transaction.
    static func needed(by claims: ClaimedJobs) -> [Query] {
        var tasks = Keys()
        var attempts = Keys()
        var labels = Keys()
        for job in claims.jobs {
            let needs = FoldKeys(of: job.events)
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
        return [taskQuery(tasks), attemptedQuery(attempts), labelQuery(labels)]
    }

    /// Indicators by sequence, and pages of report numbers; nothing where no job needs any.
    static func neededFurther(by claims: ClaimedJobs) -> [Query] {
        var indicators = Keys()
        var pages = Keys()
        for job in claims.jobs {
            let needs = job.fold.dependentKeys(of: job.events)
            for sequence in needs.indicators { indicators.add(job, "", number: sequence) }
            for key in needs.pages { pages.add(job, "", number: key.execution, page: key.page) }
        }
        guard !indicators.isEmpty || !pages.isEmpty else { return [] }
        return [indicatorQuery(indicators), pageQuery(pages)]
    }

    /// What is looked for, column by column.
    private struct Keys {
        var jobs: [UUIDBytes?] = []
        var projections: [Int16?] = []
        var texts: [String?] = []
        var names: [String?] = []
        var attempts: [Int32?] = []
        var numbers: [Int64?] = []
        var pages: [Int64?] = []

        var isEmpty: Bool { jobs.isEmpty }

        mutating func add(
            _ job: ClaimedJobs.Job, _ text: String, name: String? = nil, attempt: Int32? = nil, number: Int64? = nil,
            page: Int64? = nil
        ) {
            jobs.append(job.id.uuidBytes)
            projections.append(job.projection)
            texts.append(text)
            names.append(name)
            attempts.append(attempt)
            numbers.append(number)
            pages.append(page)
        }
    }

    // Each row that is wanted is looked up by itself, in the order of the one index that finds it at once: see
    // ``IndexedLookup``. "limit 1" keeps PostgreSQL from beginning with another table, and where a column is "between" a
    // value and the same value it is still one to order by, which it would not be where it is equal to it.

    /// Looks up the task of each `wanted` row.
    private static let taskLookup = """
        cross join lateral (
            select * from ledger.task as found
            where found.job_id = wanted.job_id and found.projection = wanted.projection
                and found.name between wanted.task and wanted.task
            order by found.name
            limit 1
        ) as task
        """

    private static func taskQuery(_ keys: Keys) -> Query {
        Query(taskSQL, [.uuids(keys.jobs), .int2s(keys.projections), .texts(keys.texts), .texts(keys.names)])
    }

    /// Most events belong to the last execution of their task, so no other is looked for then.
    private static let taskSQL = """
        select
            task.job_id, task.sequence, task.name, task.last, task.state, task.execution_count,
            \(ExecutionRow.columns(of: "last")), \(ExecutionRow.columns)
        from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[]) as wanted (job_id, projection, task, name)
        \(taskLookup)
        cross join lateral (
            select * from ledger.execution as found
            where found.job_id = wanted.job_id and found.projection = wanted.projection
                and found.sequence between task.last and task.last
            order by found.sequence
            limit 1
        ) as last
        left join lateral (
            select * from ledger.execution as found
            where last.name is distinct from wanted.name
                and found.job_id = wanted.job_id and found.projection = wanted.projection
                and found.task = task.sequence and found.name between wanted.name and wanted.name
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
            as wanted (job_id, projection, task, attempt)
        \(taskLookup)
        cross join lateral (
            select * from ledger.execution as found
            where found.job_id = wanted.job_id and found.projection = wanted.projection
                and found.task = task.sequence and found.attempt between wanted.attempt and wanted.attempt
            order by found.attempt, found.sequence
            limit 1
        ) as execution
        where execution.sequence <> task.last
        """

    private static func labelQuery(_ keys: Keys) -> Query {
        Query(
            """
            select \(indicatorColumns)
            from unnest($1::uuid[], $2::smallint[], $3::text[]) as wanted (job_id, projection, label)
            cross join lateral (
                select * from ledger.indicator as found
                where found.job_id = wanted.job_id and found.projection = wanted.projection
                    and found.label between wanted.label and wanted.label
                order by found.label
                limit 1
            ) as indicator
            """, [.uuids(keys.jobs), .int2s(keys.projections), .texts(keys.texts)])
    }

    private static func indicatorQuery(_ keys: Keys) -> Query {
        Query(
            """
            select \(indicatorColumns)
            from unnest($1::uuid[], $2::smallint[], $3::bigint[]) as wanted (job_id, projection, sequence)
            cross join lateral (
                select * from ledger.indicator as found
                where found.job_id = wanted.job_id and found.projection = wanted.projection
                    and found.sequence between wanted.sequence and wanted.sequence
                order by found.sequence
                limit 1
            ) as indicator
            """, [.uuids(keys.jobs), .int2s(keys.projections), .int8s(keys.numbers)])
    }

    private static func pageQuery(_ keys: Keys) -> Query {
        Query(
            """
            select page.job_id, page.execution, page.page, page.entries
            from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[])
                as wanted (job_id, projection, execution, page)
            cross join lateral (
                select * from ledger.report_page as found
                where found.job_id = wanted.job_id and found.projection = wanted.projection
                    and found.execution = wanted.execution and found.page = wanted.page
                limit 1
            ) as page
            """, [.uuids(keys.jobs), .int2s(keys.projections), .int8s(keys.numbers), .int8s(keys.pages)])
    }
}
