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

    /// Tasks with their last executions; executions by name; the first of an attempt; indicators by label. The last
    /// execution of a task, which most events belong to, comes with its task only.
    static func needed(by claims: Claims) -> [Query] {
        var tasks = Keys()
        var names = Keys()
        var attempts = Keys()
        var labels = Keys()
        for job in claims.jobs {
            let needs = FoldNeeds(of: job.events)
            for task in needs.tasks { tasks.add(job, task.text) }
            for named in needs.namedExecutions { names.add(job, named.task.text, name: named.name.text) }
            for attempted in needs.attemptedExecutions {
                attempts.add(job, attempted.task.text, attempt: attempted.attempt)
            }
            for label in needs.labels { labels.add(job, label?.text ?? "") }
        }
        return [taskQuery(tasks), namedQuery(names), attemptedQuery(attempts), labelQuery(labels)]
    }

    /// Indicators by sequence, and pages of report numbers; nothing where no job needs any.
    static func neededFurther(by claims: Claims) -> [Query] {
        var indicators = Keys()
        var pages = Keys()
        for job in claims.jobs {
            let needs = job.fold.furtherNeeds(of: job.events)
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
            _ job: Claims.Job, _ text: String, name: String? = nil, attempt: Int32? = nil, number: Int64? = nil,
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

    // Each row that is wanted is looked up by itself: "limit 1" keeps PostgreSQL from beginning with another table or
    // with a part of a key, which costs little while a table is small, when plans are made, and much when it is not.
    // And an execution that is looked up by its first event is looked up by its task as well: then it is found at once by
    // the index of attempts too, which an empty table makes look as good as the primary key.

    /// Looks up the task of each `wanted` row.
    private static func taskLookup(_ name: String) -> String {
        """
        cross join lateral (
            select * from ledger.task as found
            where found.job_id = wanted.job_id and found.projection = wanted.projection and found.name = wanted.\(name)
            limit 1
        ) as task
        """
    }

    /// Looks up an execution of each task.
    private static func executionLookup(_ condition: String) -> String {
        """
        cross join lateral (
            select * from ledger.execution as found
            where found.job_id = wanted.job_id and found.projection = wanted.projection and \(condition)
            limit 1
        ) as execution
        """
    }

    private static func taskQuery(_ keys: Keys) -> Query {
        Query(taskSQL, [.uuids(keys.jobs), .int2s(keys.projections), .texts(keys.texts)])
    }

    private static let taskSQL = """
        select
            task.job_id, task.sequence, task.name, task.last, task.state, task.execution_count, \(ExecutionRow.columns)
        from unnest($1::uuid[], $2::smallint[], $3::text[]) as wanted (job_id, projection, name)
        \(taskLookup("name"))
        \(executionLookup("found.task = task.sequence and found.sequence = task.last"))
        """

    private static func namedQuery(_ keys: Keys) -> Query {
        Query(namedSQL, [.uuids(keys.jobs), .int2s(keys.projections), .texts(keys.texts), .texts(keys.names)])
    }

    private static let namedSQL = """
        select task.job_id, \(ExecutionRow.columns)
        from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[]) as wanted (job_id, projection, task, name)
        \(taskLookup("task"))
        \(executionLookup("found.task = task.sequence and found.name = wanted.name"))
        where execution.sequence <> task.last
        """

    private static func attemptedQuery(_ keys: Keys) -> Query {
        Query(attemptedSQL, [.uuids(keys.jobs), .int2s(keys.projections), .texts(keys.texts), .int4s(keys.attempts)])
    }

    /// The first of several executions with the same attempt.
    private static let attemptedSQL = """
        select task.job_id, \(ExecutionRow.columns)
        from unnest($1::uuid[], $2::smallint[], $3::text[], $4::integer[])
            as wanted (job_id, projection, task, attempt)
        \(taskLookup("task"))
        \(executionLookup("found.task = task.sequence and found.attempt = wanted.attempt order by found.sequence"))
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
                    and found.label = wanted.label
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
                    and found.sequence = wanted.sequence
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
            join ledger.report_page as page
                on page.job_id = wanted.job_id and page.projection = wanted.projection
                and page.execution = wanted.execution and page.page = wanted.page
            """, [.uuids(keys.jobs), .int2s(keys.projections), .int8s(keys.numbers), .int8s(keys.pages)])
    }
}
