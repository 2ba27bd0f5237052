import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerProjection

/// The number of times that the service waits for PostgreSQL.
///
/// It depends on the operation, never on the number of events or jobs. Over a network each round trip costs as much as
/// all the rest.
@Suite("Round trips")
struct RoundTripTests {
    /// The connections on which round trips are counted, by the metrics for operators.
    private enum ConnectionUse: String {
        case appending = "progress_ledger_append_round_trips_total"
        /// This use also includes the projection.
        case reading = "progress_ledger_database_round_trips_total"
    }

    private static func count(
        _ ledger: PostgresLedger, _ use: ConnectionUse, _ body: () async throws -> Void
    ) async throws -> Int {
        let before = try await figures(ledger, use)
        try await body()
        // The count is read before reading the figures causes round trips of its own.
        let after = try await figures(ledger, use)
        let trips = after.trips - before.trips
        switch use {
        case .reading: return trips - readingOfFigures
        // On a busy machine some groups come too late, which costs exactly two round trips each.
        case .appending: return trips - 2 * (after.late - before.late)
        }
    }

    private static func figures(
        _ ledger: PostgresLedger, _ use: ConnectionUse
    ) async throws -> (trips: Int, late: Int) {
        let statistics = await ledger.statistics()
        func figure(_ name: String) throws -> Int {
            Int(try #require(statistics.first { $0.name == name }).value)
        }
        return (try figure(use.rawValue), try figure("progress_ledger_append_late_total"))
    }

    /// The round trips of reading the figures: two transactions, after the count.
    private static let readingOfFigures = 2

    private static func drafts(_ count: Int) -> [EventDraft] {
        (0..<count).map { LargeLedger.progress($0, 1, report: 1) }
    }

    /// Runs a ledger without a worker and without other processes.
    ///
    /// No other statements reach the database.
    private func withQuietLedger(_ body: (PostgresLedger, ConnectionTarget) async throws -> Void) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                // Partitions, and the first connection of each kind, are needed only once, at the start.
                _ = try await ledger.createJob(JobDescription(name: "first"))
                try await eventually {
                    let before = try await Self.figures(ledger, .reading).trips
                    return try await Self.figures(ledger, .reading).trips - before == Self.readingOfFigures
                }
                try await body(ledger, target)
            }
        }
    }

    @Test("an append takes one round trip with a cached head and two without, for any size")
    func appends() async throws {
        try await withQuietLedger { ledger, target in
            for events in [1, 3_000] {
                let job = try await Self.jobOfAnotherServer(target)
                let uncached = try await Self.count(ledger, .appending) {
                    _ = try await ledger.append(Self.drafts(events), to: job)
                }
                #expect(uncached == 2, "\(events) events")
                let cached = try await Self.count(ledger, .appending) {
                    for _ in 0..<5 { _ = try await ledger.append(Self.drafts(events), to: job) }
                }
                #expect(cached == 5, "\(events) events")
            }
        }
    }

    @Test("the first append to a job takes one round trip if the same server created the job", arguments: [1, 3_000])
    func appendsToNewJob(events: Int) async throws {
        try await withQuietLedger { ledger, _ in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let trips = try await Self.count(ledger, .appending) {
                let sequences = try await ledger.append(Self.drafts(events), to: job)
                #expect(sequences == 2...1 + Int64(events))
            }
            #expect(trips == 1)
        }
    }

    private static func jobOfAnotherServer(_ target: ConnectionTarget) async throws -> JobID {
        var job: JobID?
        try await withRunningLedger(on: target, projection: nil) { other in
            job = try await other.createJob(JobDescription(name: "n")).view.id
        }
        return try #require(job)
    }

    @Test("an append to an unknown job takes two round trips and no group with others")
    func appendsToUnknownJob() async throws {
        try await withQuietLedger { ledger, _ in
            let unknown = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            for jobs in [[unknown], [job, unknown], [job, unknown]] {
                let trips = try await Self.count(ledger, .appending) {
                    let error = await #expect(throws: StoreError.self) {
                        try await ledger.append(jobs.map { (job: $0, draft: Self.drafts(1)[0]) })
                    }
                    #expect(error?.code == .unknownJob && error?.jobs == [unknown])
                }
                #expect(trips == 2, "\(jobs)")
            }
            let groups = await ledger.statistics().first { $0.name == "progress_ledger_append_groups_total" }
            #expect(groups?.value == 0)
            #expect(try await ledger.job(job)?.ledgerSequence == 1)
        }
    }

    @Test("an append to many jobs takes as many round trips as one to a single job")
    func appendsToManyJobs() async throws {
        try await withQuietLedger { ledger, target in
            var jobs: [JobID] = []
            try await withRunningLedger(on: target, projection: nil) { other in
                for _ in 0..<50 { jobs.append(try await other.createJob(JobDescription(name: "n")).view.id) }
            }
            let entries = jobs.map { (job: $0, draft: Self.drafts(1)[0]) }
            #expect(try await Self.count(ledger, .appending) { _ = try await ledger.append(entries) } == 2)
            #expect(try await Self.count(ledger, .appending) { _ = try await ledger.append(entries) } == 1)
        }
    }

    @Test(
        "after another server's append, a group takes three round trips and the next one two")
    func overtaken() async throws {
        try await withQuietLedger { ledger, target in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let calm = try await ledger.createJob(JobDescription(name: "n")).view.id
            _ = try await ledger.append(Self.drafts(1), to: job)
            try await withRunningLedger(on: target, projection: nil) { other in
                _ = try await other.append(Self.drafts(1), to: job)
            }
            let before = try await Self.figures(ledger, .appending)
            _ = try await ledger.append([job, calm].map { (job: $0, draft: Self.drafts(1)[0]) })
            let after = try await Self.figures(ledger, .appending)
            #expect(after.trips - before.trips == 3)
            // On a busy machine the group may come too late, and then it does not learn of the other server.
            guard after.late == before.late else { return }
            // The other server writes to only one of these jobs.
            #expect(
                try await Self.count(ledger, .appending) { _ = try await ledger.append(Self.drafts(1), to: calm) } == 1)
            // For a while the head is read first.
            #expect(
                try await Self.count(ledger, .appending) { _ = try await ledger.append(Self.drafts(10), to: job) } == 2)
        }
    }

    @Test(
        "a group whose planned time became stale takes two more round trips, the next one none",
        arguments: [1, 10])
    func late(events: Int) async throws {
        try await withQuietLedger { ledger, target in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            _ = try await ledger.append(Self.drafts(1), to: job)
            let before = try await Self.figures(ledger, .appending)
            let pool = Pool(target: target, logger: TestCluster.logger)
            let appending = try await pool.withTransaction { transaction in
                _ = try await transaction.query(
                    Query(
                        "select from ledger.job_head where job_id = $1 for update",
                        [.uuid(job.uuid)]))
                let appending = Task { try await ledger.append(Self.drafts(events), to: job) }
                try await eventually {
                    // The query uses a connection of its own, because a transaction reads the activity of others only
                    // once.
                    try await pool.query(
                        Query(
                            """
                            select from pg_stat_activity
                            where datname = current_database() and wait_event_type = 'Lock'
                            """)
                    ).count == 1
                }
                _ = try await transaction.query(Query("select pg_sleep(1.1)"))
                return appending
            }
            await pool.close()
            #expect(try await appending.value == 3...(2 + Int64(events)))
            let after = try await Self.figures(ledger, .appending)
            #expect(after.late - before.late >= 1)
            #expect(after.trips - before.trips - 2 * (after.late - before.late) == 1)
            #expect(
                try await Self.count(ledger, .appending) { _ = try await ledger.append(Self.drafts(1), to: job) } == 1)
        }
    }

    @Test("a job is created in two round trips, found by its key in two, and read in one")
    func jobs() async throws {
        try await withQuietLedger { ledger, _ in
            let description = JobDescription(name: "n", key: "k", tags: ["a": "b"])
            #expect(try await Self.count(ledger, .appending) { _ = try await ledger.createJob(description) } == 2)
            #expect(try await Self.count(ledger, .appending) { _ = try await ledger.createJob(description) } == 2)
            #expect(try await Self.count(ledger, .reading) { _ = try await ledger.createJob(description) } == 1)
            let job = try await ledger.createJob(description).view.id
            #expect(try await Self.count(ledger, .reading) { _ = try await ledger.job(job) } == 1)
            #expect(
                try await Self.count(ledger, .reading) { _ = try await ledger.jobs(JobFilter(), limit: 50, after: nil) }
                    == 1)
        }
    }

    @Test("a past moment takes one round trip more than its sequence", arguments: [1, 3_000])
    func moments(events: Int) async throws {
        try await withQuietLedger { ledger, _ in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let last = try await ledger.append(Self.drafts(events), to: job).upperBound
            let page = try await ledger.events(job, EventFilter(order: .descending), after: nil, limit: 1)
            let recordedAt = try #require(page?.events.first).event.recordedAt
            let bySequence = try await Self.count(ledger, .reading) {
                _ = try await ledger.job(job, at: .sequence(last), counting: .last)
            }
            let byTime = try await Self.count(ledger, .reading) {
                let past = try await ledger.job(job, at: .time(recordedAt), counting: .last)
                #expect(past?.snapshot.sequence == last)
            }
            #expect(byTime == bySequence + 1)
        }
    }

    @Test("concurrent reads of stamps share round trips")
    func stamps() async throws {
        try await withQuietLedger { ledger, _ in
            var jobs: [JobID] = []
            for _ in 0..<10 { jobs.append(try await ledger.createJob(JobDescription(name: "n")).view.id) }
            let unknown = try #require(JobID("01900000-0000-7000-8000-000000000000"))
            #expect(try await Self.count(ledger, .reading) { _ = try await ledger.stamp(of: jobs[0]) } == 1)
            let shared = try await Self.count(ledger, .reading) {
                try await withThrowingTaskGroup { group in
                    for number in 0..<1_000 {
                        let jobs = jobs
                        group.addTask {
                            let stamp = try await ledger.stamp(of: jobs[number % 10])
                            #expect(stamp != nil)
                        }
                    }
                    group.addTask {
                        let stamp = try await ledger.stamp(of: unknown)
                        #expect(stamp == nil)
                    }
                    try await group.waitForAll()
                }
            }
            // The number depends on timing. Without sharing it would be a thousand.
            #expect((1...500).contains(shared), "\(shared)")
        }
    }

    @Test(
        "a step takes one round trip, and per portion two, or three if it supersedes executions",
        arguments: [(1, 1, UInt64(1)), (2_000, 10, 1), (2_000, 2_000, 2)])
    func steps(events: Int, tasks: Int, portions: UInt64) async throws {
        try await withQuietLedger { ledger, target in
            let pool = Pool(target: target, logger: TestCluster.logger)
            let step = ProjectionStep(pool: pool, settings: ProjectionSettings())
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let reports = { round in
                (0..<events).map { LargeLedger.progress($0 % tasks, 1, report: Int64(round * events + $0)) }
            }
            // The superseded units count on indicators that the new events do not name.
            let starts = (0..<tasks).map { task in
                EventDraft(.executionStarted(ExecutionReference(task: Name("task \(task)"), attempt: 2)))
            }
            for (drafts, tripsOfPortion) in [(reports(1), UInt64(2)), (reports(2), 2), (starts, 3)] {
                _ = try await ledger.append(drafts, to: job)
                let before = await pool.statistics.roundTrips
                let result = try await step.run([job])
                let trips = await pool.statistics.roundTrips - before
                #expect(result.eventCount >= drafts.count)
                #expect(trips == 1 + portions * tripsOfPortion)
            }
            await pool.close()
        }
    }

    @Test("a step for many jobs takes as many round trips as one for a single job")
    func stepsOfManyJobs() async throws {
        try await withQuietLedger { ledger, target in
            var jobs: [JobID] = []
            for _ in 0..<50 { jobs.append(try await ledger.createJob(JobDescription(name: "n")).view.id) }
            _ = try await ledger.append(jobs.map { (job: $0, draft: Self.drafts(1)[0]) })
            let pool = Pool(target: target, logger: TestCluster.logger)
            let result = try await ProjectionStep(pool: pool, settings: ProjectionSettings()).run(jobs)
            #expect(result.folded.count == 50)
            #expect(await pool.statistics.roundTrips == 3)
            await pool.close()
        }
    }

    @Test("pages of any size take the same number of round trips")
    func pages() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let last = try await ledger.append(Self.drafts(300), to: job).upperBound
            let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
            #expect(isFolded)
            // The worker may cause round trips in between. The minimum of several attempts excludes them.
            func least(_ body: () async throws -> Void) async throws -> Int {
                var least = Int.max
                for _ in 0..<5 { least = min(least, try await Self.count(ledger, .reading, body)) }
                return least
            }
            for limit in [1, 50] {
                #expect(
                    try await least { _ = try await ledger.events(job, EventFilter(), after: 10, limit: limit) } == 2)
                #expect(try await least { _ = try await ledger.tasks(job, state: nil, limit: limit, after: nil) } == 4)
                #expect(
                    try await least {
                        _ = try await ledger.explain(job, "odd", at: nil, counting: .last, limit: limit, after: nil)
                    } == 3)
                #expect(try await least { _ = try await ledger.heads(after: nil, limit: limit) } == 1)
            }
        }
    }
}
