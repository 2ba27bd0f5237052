internal import Ledger
internal import LedgerStore
internal import PQ

/// The statements that store a step's changes.
///
/// There is one statement for each table, for any number of jobs.
enum StateChanges {
    /// The changes of one job.
    struct JobChanges {
        let job: JobID
        let projection: Int16
        /// The sequence that the changes start from.
        let previousSequence: EventSequence
        let changes: FoldChanges
        /// The state of its estimates; nil if it must first be built.
        var estimate: EstimateState?
        /// Whether the job had ended and is running again.
        var isReopened = false
        let eventCount: Int
        /// The notifications that its events cause.
        var notifications: [(subscription: Subscription.ID, cause: NotificationCause)] = []
        /// The sum for the percentage after the events.
        ///
        /// Nil unless a subscription asks for percentages.
        var percentage: PercentageSum?

        /// Returns some of the changes of a job that was folded from its first event.
        func part(_ range: Range<Int>) -> JobChanges {
            JobChanges(
                job: job, projection: projection, previousSequence: previousSequence, changes: changes.part(range),
                estimate: estimate, eventCount: eventCount)
        }
    }

    static func statements(_ changes: [JobChanges]) -> [Query] {
        changes.isEmpty ? [] : snapshotStatements(changes) + partStatements(changes)
    }

    /// Returns the statements that advance the snapshots from their expected sequences.
    static func snapshotStatements(_ changes: [JobChanges]) -> [Query] { [snapshots(changes)] }

    /// Returns the statements that store everything except the snapshots.
    static func partStatements(_ changes: [JobChanges]) -> [Query] {
        [
            indicators(changes), tasks(changes), executions(changes), pages(changes), discards(changes),
            reopenings(changes),
        ].compactMap { $0 }
    }

    /// Returns the compare-and-set statement that advances the snapshots.
    ///
    /// A snapshot advances only from the checkpoint that was read. The snapshots have been locked since they were
    /// claimed, so all of them do. If one did not, `fail_stale()` would fail the transaction, and nothing would
    /// be stored instead of a wrong state.
    private static func snapshots(_ changes: [JobChanges]) -> Query {
        let progress = changes.map(\.changes.progress)
        return Query(
            """
            with moved as (
                update ledger.snapshot
                set
                    sequence = new.sequence, state = new.state, created_at = new.created_at, started_at = new.started_at,
                    updated_at = new.updated_at, finished_at = new.finished_at, tasks_running = new.tasks_running,
                    tasks_succeeded = new.tasks_succeeded, tasks_failed = new.tasks_failed,
                    tasks_canceled = new.tasks_canceled, executions = new.executions, estimate = new.estimate,
                    message = new.message, fold_version = \(Fold.version), is_estimated = new.estimate is not null and new.state <> 'completed'
                from unnest(
                    $1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[],
                    $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::bigint[], $12::bigint[],
                    $13::bigint[], $14::bigint[], $16::bytea[], $17::text[]
                ) as new (
                    job_id, projection, previous, sequence, state, created_at, started_at, updated_at, finished_at,
                    tasks_running, tasks_succeeded, tasks_failed, tasks_canceled, executions, estimate, message
                )
                where snapshot.job_id = new.job_id and snapshot.projection = new.projection
                    and snapshot.sequence = new.previous
                returning 1
            )
            select case when count(*) = $15 then 1 else ledger.fail_stale() end from moved
            """,
            [
                .uuids(changes.map(\.job.uuid)), .int2s(changes.map(\.projection)),
                .sequences(changes.map(\.previousSequence)), .sequences(progress.map(\.sequence)),
                .texts(progress.map(\.state.rawValue)),
                .timestamps(progress.map(\.createdAt)),
                .timestamps(progress.map(\.startedAt)),
                .timestamps(progress.map(\.updatedAt)),
                .timestamps(progress.map(\.finishedAt)),
                .int8s(progress.map(\.tasks.running)), .int8s(progress.map(\.tasks.succeeded)),
                .int8s(progress.map(\.tasks.failed)), .int8s(progress.map(\.tasks.canceled)),
                .int8s(progress.map(\.tasks.executions)), .int8(Int64(changes.count)),
                .byteas(changes.map { $0.estimate?.encoded }), .texts(progress.map(\.message?.text)),
            ])
    }

    /// Returns the statement that ends the summaries of jobs that run again.
    ///
    /// A replay that builds another projection changes no summary.
    private static func reopenings(_ changes: [JobChanges]) -> Query? {
        let reopened = changes.filter(\.isReopened)
        guard !reopened.isEmpty else { return nil }
        return Query(
            """
            update ledger.run_summary
            set reopened_at = reopened.at
            from unnest($1::uuid[], $2::smallint[], $3::timestamptz[]) as reopened (job_id, projection, at)
            join ledger.snapshot as live
                on live.job_id = reopened.job_id and live.projection = reopened.projection and live.is_live
            where run_summary.job_id = reopened.job_id and run_summary.reopened_at is null
                and run_summary.finished_at <= reopened.at
            """,
            [
                .uuids(reopened.map(\.job.uuid)), .int2s(reopened.map(\.projection)),
                .timestamps(reopened.map(\.changes.progress.updatedAt)),
            ])
    }

    /// Returns all parts of one kind, with the job and projection of each.
    private static func flatten<Part>(
        _ changes: [JobChanges], _ parts: (FoldChanges) -> [Part]
    ) -> (jobs: Parameter, projections: Parameter, parts: [Part])? {
        var jobs: [UUIDBytes?] = []
        var projections: [Int16?] = []
        var all: [Part] = []
        for change in changes {
            for part in parts(change.changes) {
                jobs.append(change.job.uuid)
                projections.append(change.projection)
                all.append(part)
            }
        }
        return all.isEmpty ? nil : (.uuids(jobs), .int2s(projections), all)
    }

    /// Returns the encoded part of the state of estimates for all parts of one kind.
    private static func flatten<Part>(
        _ changes: [JobChanges], _ parts: (FoldChanges) -> [Part], _ encode: (EstimateState, Part) -> [UInt8]?
    ) -> [[UInt8]?] {
        changes.flatMap { change in
            parts(change.changes).map { part in change.estimate.flatMap { encode($0, part) } }
        }
    }

    private static func indicators(_ changes: [JobChanges]) -> Query? {
        guard let (jobs, projections, parts) = flatten(changes, \.indicators) else { return nil }
        return Query(
            """
            insert into ledger.indicator as stored (
                job_id, projection, sequence, label, received_total, received_done, counted_total, counted_done,
                superseded_total, superseded_done, discarded_total, discarded_done, counted_events,
                superseded_events, updated_at, pattern, carried_done, unit, message
            )
            select * from unnest(
                $1::uuid[], $2::smallint[], $3::bigint[], $4::text[], $5::numeric[], $6::numeric[], $7::numeric[],
                $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[], $13::bigint[],
                $14::bigint[], $15::timestamptz[], $16::bytea[], $17::numeric[], $18::text[], $19::text[]
            )
            on conflict (job_id, projection, sequence) do update set
                received_total = excluded.received_total, received_done = excluded.received_done,
                counted_total = excluded.counted_total, counted_done = excluded.counted_done,
                superseded_total = excluded.superseded_total, superseded_done = excluded.superseded_done,
                discarded_total = excluded.discarded_total, discarded_done = excluded.discarded_done,
                counted_events = excluded.counted_events, superseded_events = excluded.superseded_events,
                updated_at = excluded.updated_at, pattern = excluded.pattern, carried_done = excluded.carried_done,
                unit = excluded.unit, message = excluded.message
            """,
            [
                jobs, projections, .ids(parts.map(\.id)), .texts(parts.map { $0.label?.text ?? "" }),
                .numerics(parts.map(\.received.total)), .numerics(parts.map(\.received.done)),
                .numerics(parts.map(\.counted.total)), .numerics(parts.map(\.counted.done)),
                .numerics(parts.map(\.superseded.total)), .numerics(parts.map(\.superseded.done)),
                .numerics(parts.map(\.discarded.total)), .numerics(parts.map(\.discarded.done)),
                .int8s(parts.map(\.countedEvents)), .int8s(parts.map(\.supersededEvents)),
                .timestamps(parts.map(\.updatedAt)),
                .byteas(flatten(changes, \.indicators) { $0.encodedPattern(of: $1.id) }),
                .numerics(parts.map(\.carried)), .texts(parts.map(\.unit?.text)), .texts(parts.map(\.message?.text)),
            ])
    }

    private static func tasks(_ changes: [JobChanges]) -> Query? {
        guard let (jobs, projections, parts) = flatten(changes, \.tasks) else { return nil }
        return Query(
            """
            insert into ledger.task (job_id, projection, sequence, name, last, state, execution_count)
            select * from unnest(
                $1::uuid[], $2::smallint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[]
            )
            on conflict (job_id, projection, sequence) do update set
                last = excluded.last, state = excluded.state, execution_count = excluded.execution_count
            """,
            [
                jobs, projections, .ids(parts.map(\.id)), .texts(parts.map(\.name.text)),
                .ids(parts.map(\.last)), .texts(parts.map(\.state.rawValue)), .int8s(parts.map(\.executionCount)),
            ])
    }

    private static func executions(_ changes: [JobChanges]) -> Query? {
        guard let (jobs, projections, parts) = flatten(changes, \.executions) else { return nil }
        return Query(
            """
            insert into ledger.execution (
                job_id, projection, sequence, task, name, attempt, started_at, outcome, last_sequence, last_at,
                superseded_by, state, work, message_sequence, link_sequence
            )
            select * from unnest(
                $1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[], $6::integer[], $7::timestamptz[],
                $8::text[], $9::bigint[], $10::timestamptz[], $11::bigint[], $12::bytea[], $13::bytea[],
                $14::bigint[], $15::bigint[]
            )
            on conflict (job_id, projection, sequence) do update set
                outcome = excluded.outcome, last_sequence = excluded.last_sequence, last_at = excluded.last_at,
                superseded_by = excluded.superseded_by, state = excluded.state, work = excluded.work,
                message_sequence = excluded.message_sequence, link_sequence = excluded.link_sequence
            """,
            [
                jobs, projections, .ids(parts.map(\.id)), .ids(parts.map(\.task)),
                .texts(parts.map(\.name?.text)), .int4s(parts.map(\.attempt)),
                .timestamps(parts.map(\.startedAt)),
                .texts(parts.map(\.outcome?.rawValue)), .sequences(parts.map(\.lastSequence)),
                .timestamps(parts.map(\.lastAt)),
                .ids(parts.map(\.supersededBy)), .byteas(parts.map(\.encodedState)),
                .byteas(flatten(changes, \.executions) { $0.encodedWork(of: $1.id) }),
                .sequences(parts.map(\.messageSequence)), .sequences(parts.map(\.linkSequence)),
            ])
    }

    /// Returns the statement that appends to pages.
    ///
    /// Pages grow at their ends, so they need not be read to be written.
    private static func pages(_ changes: [JobChanges]) -> Query? {
        guard let (jobs, projections, parts) = flatten(changes, \.pages) else { return nil }
        return Query(
            """
            insert into ledger.report_page as stored (job_id, projection, execution, page, entries, part)
            select * from unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[])
            on conflict (job_id, projection, execution, part, page) do update set
                entries = stored.entries || excluded.entries
            """,
            [
                jobs, projections, .ids(parts.map(\.key.execution)), .int8s(parts.map(\.key.page)),
                .byteas(parts.map(\.appended.bytes)), .texts(parts.map { $0.key.part?.text ?? "" }),
            ])
    }

    private static func discards(_ changes: [JobChanges]) -> Query? {
        guard let (jobs, projections, parts) = flatten(changes, \.discards) else { return nil }
        return Query(
            """
            insert into ledger.discard (
                job_id, projection, sequence, verdict, execution, indicator, total, done, duplicate_of
            )
            select * from unnest(
                $1::uuid[], $2::smallint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::bigint[]
            )
            """,
            [
                jobs, projections, .sequences(parts.map(\.sequence)), .texts(parts.map(\.verdict.rawValue)),
                .ids(parts.map(\.execution)), .ids(parts.map(\.indicator)),
                .int8s(parts.map { Int64($0.units.total) }), .int8s(parts.map { Int64($0.units.done) }),
                .sequences(parts.map(\.duplicateOf)),
            ])
    }
}
