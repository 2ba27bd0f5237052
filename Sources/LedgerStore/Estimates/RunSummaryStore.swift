package import Ledger
package import PQ
internal import Synchronization

/// Stores and reads the summaries of completed jobs.
///
/// Merged histories are cached. Before each use, a query reads which summaries are the newest; summaries themselves are
/// only read if these have changed.
package final class RunSummaryStore: Sendable {
    /// The identity of a summary.
    struct Key: Hashable, Sendable {
        let job: JobID
        let sequence: EventSequence
    }

    /// The summaries that are visible to a job at a moment, merged.
    struct Visible: Sendable {
        let history: EstimateHistory
        /// The comparison of the estimates of earlier jobs with their ends.
        let record: TrackRecord
    }

    private struct Entry: Sendable {
        let keys: [Key]
        /// Nil without summaries.
        let visible: Visible?
        /// The time at which these summaries were the newest.
        let checkedAt: ContinuousClock.Instant
    }

    /// The time for which the newest summaries serve present estimates.
    private static let ageMax: Duration = .seconds(1)

    /// The maximum number of cached histories.
    ///
    /// One takes some kilobytes, at most a megabyte.
    private static let historiesMax = 256
    /// The number of newest jobs that a track record counts.
    static let recordJobsMax: Int64 = 1_000

    private let pool: Pool
    /// The tokens, for the tags that confine their holders.
    private let tokens: TokenRegistry
    private let cache = Mutex(BoundedCache<Group, Entry>(costMax: historiesMax))

    /// The time from which on reads wait for summaries again.
    private let waitsAgainAt: Mutex<ContinuousClock.Instant>
    private let now: @Sendable () -> ContinuousClock.Instant

    package init(
        pool: Pool, tokens: TokenRegistry, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.pool = pool
        self.tokens = tokens
        self.now = now
        waitsAgainAt = Mutex(now())
    }

    /// The jobs that share their history.
    package struct Group: Hashable, Sendable {
        /// The ``JobDescription/history``.
        let history: String
        /// The values of the tags that confine callers; nil for absent ones.
        ///
        /// Otherwise an estimate would show a confined caller something about jobs that do not exist for it.
        let tags: [Name: Name?]

        fileprivate var parameters: [Parameter] {
            let tags = tags.sorted { $0.key < $1.key }
            return [.texts(tags.map { $0.key.text }), .texts(tags.map { $0.value?.text })]
        }

        /// The condition that a job has the tags, for the parameters from this number on.
        fileprivate static func condition(of job: String, parameter: Int) -> String {
            """
            not exists (
                select from unnest($\(parameter)::text[], $\(parameter + 1)::text[]) as tag (name, value)
                where \(job).tags ->> tag.name is distinct from tag.value
            )
            """
        }
    }

    /// The group of a job; nil if it is left out.
    package func group(of description: JobDescription) -> Group? {
        guard let history = description.history else { return nil }
        let names = tokens.confiningTags
        return Group(history: history, tags: Dictionary(uniqueKeysWithValues: names.map { ($0, description.tags[$0]) }))
    }

    // MARK: Storing

    /// A summary to store.
    package struct Summary: Sendable {
        let job: JobID
        let sequence: EventSequence
        let startedAt: Timestamp
        let finishedAt: Timestamp
        let history: String
        let score: EstimateScore?
        let summary: RunSummary

        package init(
            job: JobID, sequence: EventSequence, startedAt: Timestamp, finishedAt: Timestamp, history: String,
            score: EstimateScore?, summary: RunSummary
        ) {
            self.job = job
            self.sequence = sequence
            self.startedAt = startedAt
            self.finishedAt = finishedAt
            self.history = history
            self.score = score
            self.summary = summary
        }

        /// The statement that inserts or replaces the summary.
        package var insertion: Query {
            Query(
                """
                insert into ledger.run_summary (
                    job_id, sequence, started_at, finished_at, history, version, summary, estimates, logarithmic_error,
                    coverage_p90, coverage_p10, ended_inside
                )
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                on conflict (job_id, sequence) do update set
                    history = excluded.history, version = excluded.version, summary = excluded.summary,
                    estimates = excluded.estimates, logarithmic_error = excluded.logarithmic_error,
                    coverage_p90 = excluded.coverage_p90, coverage_p10 = excluded.coverage_p10,
                    ended_inside = excluded.ended_inside
                where run_summary.version <= excluded.version
                """,
                [
                    .uuid(job.uuid), .sequence(sequence), .timestamp(startedAt), .timestamp(finishedAt), .text(history),
                    .int2(RunSummary.version), .bytea(summary.encoded), .int8(score?.estimates ?? 0),
                    .float8(score?.logarithmicError), .float8(score?.coverageP90), .float8(score?.coverageP10),
                    .bool(score?.endedInside),
                ])
        }
    }

    // MARK: Reading

    /// A job that asks for its history.
    struct Request: Sendable {
        let job: JobID
        let group: Group
        let moment: Timestamp
        /// Whether the moment is the present.
        var isPresent = false
    }

    /// The statement that finds the newest summaries of each request, newest first.
    ///
    /// A summary counts from the end of its job until the job is reopened.
    static func newest(hasTags: Bool) -> String {
        """
        select requested.number, found.job_id, found.sequence
        from unnest($1::uuid[], $2::text[], $3::timestamptz[]) with ordinality as requested (job_id, history, at, number)
        cross join lateral (
            select run.job_id, run.sequence, run.finished_at
            from ledger.run_summary as run
            \(hasTags ? "join ledger.job on job.job_id = run.job_id" : "")
            where run.history = requested.history and run.finished_at <= requested.at
                and (run.reopened_at is null or run.reopened_at > requested.at)
                and run.job_id <> requested.job_id and run.version between $4 and $6
                \(hasTags ? "and " + Group.condition(of: "job", parameter: 7) : "")
            order by run.finished_at desc, run.job_id desc
            limit $5
        ) as found
        order by requested.number, found.finished_at desc, found.job_id desc
        """
    }

    /// Returns the history of each request, in order; nil without earlier jobs.
    func histories(for requests: [Request]) async throws(PQError) -> [Visible?] {
        let now = self.now()
        let known = cache.withLock { cache in
            requests.map { request in
                request.isPresent
                    ? cache.find(request.group) { entry in
                        now - entry.checkedAt < Self.ageMax && !entry.keys.contains { $0.job == request.job }
                    } : nil
            }
        }
        var found = known.map { $0?.visible }
        let open = requests.indices.filter { known[$0] == nil }
        guard open.contains(where: { !requests[$0].group.tags.isEmpty }) else {
            let read = try await histories(open.map { requests[$0] }, tags: nil)
            for (index, visible) in zip(open, read) { found[index] = visible }
            return found
        }
        for index in open {
            found[index] = try await histories([requests[index]], tags: requests[index].group).first ?? nil
        }
        return found
    }

    private func histories(_ requests: [Request], tags: Group?) async throws(PQError) -> [Visible?] {
        guard !requests.isEmpty else { return [] }
        let rows = try await pool.query(
            Query(
                Self.newest(hasTags: tags != nil),
                [
                    .uuids(requests.map(\.job.uuid)), .texts(requests.map(\.group.history)),
                    .timestamps(requests.map(\.moment)), .int2(RunSummary.readableVersions.lowerBound),
                    .int8(Int64(EstimateHistory.runsMax)), .int2(RunSummary.readableVersions.upperBound),
                ] + (tags?.parameters ?? [])))
        var keys = requests.map { _ in [Key]() }
        for row in rows {
            let number = Int(try row.decode(0, as: Int64.self)) - 1
            guard keys.indices.contains(number) else { throw PQError(.decoding, "a history was not requested") }
            keys[number].append(Key(job: try row.decode(1), sequence: try row.decode(2)))
        }
        var found: [Visible?] = []
        for (request, keys) in zip(requests, keys) {
            let known = cache.withLock { $0.find(request.group) { $0.keys == keys } }?.visible
            let visible: Visible? =
                if let known { known } else if keys.isEmpty { nil } else { try await merge(keys, request) }
            found.append(visible)
            let entry = Entry(keys: keys, visible: visible, checkedAt: now())
            if request.isPresent { cache.withLock { $0.put(entry, request.group) } }
        }
        return found
    }

    /// Returns the history of a job at a moment; nil without earlier jobs.
    package func history(of job: JobID, in group: Group, at moment: Timestamp) async throws(PQError) -> EstimateHistory?
    {
        try await histories(for: [Request(job: job, group: group, moment: moment)]).first??.history
    }

    private func merge(_ keys: [Key], _ request: Request) async throws(PQError) -> Visible {
        let rows = try await pool.query(
            Query(
                """
                select run.summary, run.version
                from unnest($1::uuid[], $2::bigint[]) with ordinality as requested (job_id, sequence, number)
                join ledger.run_summary as run
                    on run.job_id = requested.job_id and run.sequence = requested.sequence
                order by requested.number desc
                """, [.uuids(keys.map(\.job.uuid)), .sequences(keys.map(\.sequence))]))
        var summaries: [RunSummary] = []
        for row in rows {
            let (bytes, version) = (try row.decode(0, as: [UInt8].self), try row.decode(1, as: Int16.self))
            do throws(FoldStateError) {
                summaries.append(try RunSummary(encoded: bytes, version: version))
            } catch {
                throw PQError(.decoding, "a summary cannot be decoded: \(error)")
            }
        }
        let record = try await record(of: request.group, until: request.moment)
        let decoded = summaries
        return await ComputeThreads.run { Visible(history: EstimateHistory(decoded), record: record) }
    }

    // MARK: Waiting

    /// The longest wait for summaries that are being built.
    private static let waitMax: Duration = .seconds(4)
    /// The time without waits after one was in vain.
    ///
    /// Then no worker runs, or very many jobs are to be summarised.
    private static let pauseMax: Duration = .seconds(10)
    /// The maximum number of jobs without a summary that are searched.
    private static let openMax: Int64 = 1_000

    /// The statement that finds out whether a job of a history lacks its summary.
    static let pending = """
        select exists (
            select
            from (
                select job_id from ledger.snapshot
                where is_live and not is_estimated and state = 'completed' and finished_at <= $2 and job_id <> $5
                limit $3
            ) as open
            join ledger.job on job.job_id = open.job_id
            where case
                when coalesce(job.tags ->> $4, '') = '' then 'name ' || job.name
                else 'tag ' || (job.tags ->> $4)
            end = $1
        )
        """

    /// Waits until the other jobs of a group that ended by a moment are summarised.
    ///
    /// An estimate of the past shows what was known then, and not what a worker has summarised by now.
    func waitUntilSummarised(_ group: Group, by moment: Timestamp, except job: JobID) async throws(PQError) {
        let start = now()
        guard waitsAgainAt.withLock({ $0 <= start }) else { return }
        var pause: Duration = .milliseconds(10)
        while now() - start < Self.waitMax {
            let rows = try await pool.query(
                Query(
                    Self.pending,
                    [
                        .text(group.history), .timestamp(moment), .int8(Self.openMax),
                        .text(JobDescription.historyTag.text), .uuid(job.uuid),
                    ]))
            guard try rows.first?.decode(0, as: Bool.self) == true else { return }
            do { try await Task.sleep(for: pause) } catch { return }
            pause = min(pause * 2, .milliseconds(200))
        }
        waitsAgainAt.withLock { $0 = now() + Self.pauseMax }
    }

    // MARK: Durations

    /// Returns the usual duration of the newest completed jobs of a group.
    ///
    /// Nil if they are too few.
    package func usualDuration(of group: Group) async throws(PQError) -> UsualDuration? {
        let rows = try await pool.query(
            Query(
                """
                select extract(epoch from run.finished_at - run.started_at)::float8
                from ledger.run_summary as run
                \(group.tags.isEmpty ? "" : "join ledger.job on job.job_id = run.job_id")
                where run.history = $1 and run.reopened_at is null
                    \(group.tags.isEmpty ? "" : "and " + Group.condition(of: "job", parameter: 3))
                order by run.finished_at desc, run.job_id desc
                limit $2
                """,
                [.text(group.history), .int8(Int64(UsualDuration.jobsMax))]
                    + (group.tags.isEmpty ? [] : group.parameters)))
        var seconds: [Double] = []
        for row in rows { seconds.append(try row.decode(0, as: Double.self)) }
        return UsualDuration(seconds: seconds)
    }

    // MARK: Track records

    /// Returns the track record of the newest jobs of a group, up to a moment.
    func record(of group: Group, until moment: Timestamp = .latest) async throws(PQError) -> TrackRecord {
        let rows = try await pool.query(
            Query(
                """
                select
                    count(*), count(*) filter (where ended_inside),
                    exp(percentile_cont(0.5) within group (order by logarithmic_error)),
                    exp(percentile_cont(0.9) within group (order by logarithmic_error)),
                    avg(coverage_p10), avg(coverage_p90)
                from (
                    select run.* from ledger.run_summary as run
                    \(group.tags.isEmpty ? "" : "join ledger.job on job.job_id = run.job_id")
                    where run.history = $1 and run.estimates > 0 and run.finished_at <= $2
                        and (run.reopened_at is null or run.reopened_at > $2)
                        \(group.tags.isEmpty ? "" : "and " + Group.condition(of: "job", parameter: 4))
                    order by run.finished_at desc, run.job_id desc
                    limit $3
                ) as scored
                """,
                [.text(group.history), .timestamp(moment), .int8(Self.recordJobsMax)]
                    + (group.tags.isEmpty ? [] : group.parameters)))
        guard let row = rows.first else { throw PQError(.decoding, "a track record has no row") }
        var columns = row.columns
        let (jobs, inside) = (try columns.next(Int64.self), try columns.next(Int64.self))
        let errors = (try columns.nextIfPresent(Double.self), try columns.nextIfPresent(Double.self))
        let coverage = (try columns.nextIfPresent(Double.self), try columns.nextIfPresent(Double.self))
        return TrackRecord(
            jobs: jobs, endedInside: inside, errorFactorP50: errors.0, errorFactorP90: errors.1,
            coverageP10: coverage.0, coverageP90: coverage.1)
    }
}
