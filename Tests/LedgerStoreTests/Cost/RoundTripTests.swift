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
        // The first reading also counts the jobs by name, and keeps the numbers for a while.
        _ = await ledger.statistics()
        let before = try await figures(ledger, use)
        try await body()
        // The count is read before reading the figures causes round trips of its own.
        let after = try await figures(ledger, use)
        let trips = after.trips - before.trips
        switch use {
        case .reading: return trips - readingOfFigures
        // The database's own clock decides whether a group comes too late, and no test can stop that clock. A late
        // group costs exactly two more round trips. The test of appends checks that not every group is late.
        case .appending: return trips - 2 * (after.late - before.late)
        }
    }

    private static func figures(
        _ ledger: PostgresLedger, _ use: ConnectionUse
    ) async throws -> (trips: Int, late: Int, overtaken: Int) {
        let statistics = await ledger.statistics()
        func figure(_ name: String) throws -> Int {
            Int(try #require(statistics.first { $0.name == name }).value)
        }
        return (
            try figure(use.rawValue), try figure("progress_ledger_append_late_total"),
            try figure("progress_ledger_append_overtaken_total")
        )
    }

    /// The round trips of reading the figures: two transactions, after the count.
    private static let readingOfFigures = 2

    private static func drafts(_ count: Int) -> [EventDraft] {
        (0..<count).map { LargeLedger.progress($0, 1, report: 1) }
    }

    /// Runs a ledger without a worker and without other processes.
    ///
    /// No other statements reach the database.
    ///
    /// - Parameters:
    ///   - clock: The clock by which cached heads age. It stands still, so no cached head becomes too old.
    ///   - body: Receives the ledger and the database.
    private func withQuietLedger(
        clock: StoppedClock = StoppedClock(), _ body: (PostgresLedger, ConnectionTarget) async throws -> Void
    ) async throws {
        try await withLedgerDatabase { target in
            var settings = PostgresLedger.Settings()
            settings.now = { clock.now }
            try await withRunningLedger(on: target, projection: nil, settings: settings) { ledger in
                // Partitions, and the first connection of each kind, are needed only once, at the start.
                _ = try await ledger.createJob(JobDescription(name: "first"))
                try await eventually(equals: Self.readingOfFigures) {
                    let before = try await Self.figures(ledger, .reading).trips
                    return try await Self.figures(ledger, .reading).trips - before
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
                // On a slow machine every group may come too late once; not each time.
                var late = 5
                for _ in 1...5 where late == 5 {
                    let before = try await Self.figures(ledger, .appending).late
                    let cached = try await Self.count(ledger, .appending) {
                        for _ in 0..<5 { _ = try await ledger.append(Self.drafts(events), to: job) }
                    }
                    #expect(cached == 5, "\(events) events")
                    late = try await Self.figures(ledger, .appending).late - before
                }
                #expect(late < 5, "the planned time of every group was wrong")
            }
        }
    }

    @Test("the first append to a job takes one round trip if the same server created the job", arguments: [1, 3_000])
    func appendsToNewJob(events: Int) async throws {
        try await withQuietLedger { ledger, _ in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let trips = try await Self.count(ledger, .appending) {
                let sequences = try await ledger.append(Self.drafts(events), to: job)
                #expect(sequences == 2...EventSequence(1 + events))
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
        "after another server's append, a group takes three round trips and the next ones two")
    func overtaken() async throws {
        let clock = StoppedClock()
        try await withQuietLedger(clock: clock) { ledger, target in
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
            // A group that was overtaken and late counts as overtaken.
            #expect(after.overtaken - before.overtaken == 1 && after.late == before.late)
            func trips(_ events: Int, _ job: JobID) async throws -> Int {
                try await Self.count(ledger, .appending) { _ = try await ledger.append(Self.drafts(events), to: job) }
            }
            // The other server writes to only one of these jobs.
            #expect(try await trips(1, calm) == 1)
            // For a while the head is read first.
            for _ in 0..<3 { #expect(try await trips(10, job) == 2) }
            clock.move(by: .seconds(2))
            #expect(try await trips(10, job) == 2)
            #expect(try await trips(10, job) == 1)
        }
    }

    @Test("a group that was planned too early takes two more round trips, the next one none", arguments: [1, 10])
    func plannedTooEarly(events: Int) async throws {
        let clock = StoppedClock()
        try await withQuietLedger(clock: clock) { ledger, _ in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            _ = try await ledger.append(Self.drafts(1), to: job)
            let before = try await Self.figures(ledger, .appending)
            // The database accepts a planned time that is up to a second old.
            clock.move(by: .seconds(-2))
            #expect(try await ledger.append(Self.drafts(events), to: job) == 3...EventSequence(2 + events))
            let after = try await Self.figures(ledger, .appending)
            #expect(after.late - before.late == 1 && after.overtaken == before.overtaken)
            #expect(after.trips - before.trips == 3)
            #expect(
                try await Self.count(ledger, .appending) { _ = try await ledger.append(Self.drafts(1), to: job) } == 1)
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
                // The statement waits until its planned time is over a second old, by the clock that it compares. The
                // query uses a connection of its own, because a transaction reads the activity of others only once.
                try await eventually(equals: 1) {
                    try await pool.query(
                        Query(
                            """
                            select from pg_stat_activity
                            where datname = current_database() and wait_event_type = 'Lock'
                                and query_start < clock_timestamp() - interval '1 second'
                            """)
                    ).count
                }
                return appending
            }
            await pool.close()
            #expect(try await appending.value == 3...EventSequence(2 + events))
            let after = try await Self.figures(ledger, .appending)
            #expect(after.late - before.late == 1)
            #expect(after.trips - before.trips == 3)
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
            let first = try await Self.count(ledger, .reading) {
                _ = try await ledger.job(job, at: .sequence(last), counting: .last)
            }
            // The state of the first fold is kept: only its hash is read again.
            let bySequence = try await Self.count(ledger, .reading) {
                _ = try await ledger.job(job, at: .sequence(last), counting: .last)
            }
            #expect(bySequence < first)
            let byTime = try await Self.count(ledger, .reading) {
                let past = try await ledger.job(job, at: .time(recordedAt), counting: .last)
                #expect(past?.snapshot.sequence == last)
            }
            #expect(byTime == bySequence + 1)
        }
    }

    @Test("reads of stamps that arrive while one is in progress share one round trip")
    func stamps() async throws {
        try await withQuietLedger { ledger, target in
            var jobs: [JobID] = []
            for _ in 0..<10 { jobs.append(try await ledger.createJob(JobDescription(name: "n")).view.id) }
            #expect(try await Self.count(ledger, .reading) { _ = try await ledger.stamp(of: jobs[0]) } == 1)
            let pool = Pool(target: target, logger: TestCluster.logger)
            // Every ten seconds a message about the presence of this process takes one more round trip.
            var trips: [Int] = []
            for _ in 1...3 where trips.last != 2 {
                trips.append(try await Self.count(ledger, .reading) { try await Self.readStamps(ledger, jobs, pool) })
            }
            await pool.close()
            #expect(trips.last == 2, "\(trips)")
        }
    }

    /// Reads one stamp, and a thousand and one more while that read waits for a lock.
    private static func readStamps(_ ledger: PostgresLedger, _ jobs: [JobID], _ pool: Pool) async throws {
        let unknown = try #require(JobID("01900000-0000-7000-8000-000000000000"))
        let (found, sink) = AsyncStream.makeStream(of: (JobID, Result<SnapshotStamp?, StoreError>).self)
        func read(_ job: JobID) { ledger.stamp(of: job) { sink.yield((job, $0)) } }
        let requests = [jobs[0]] + (0..<1_000).map { jobs[$0 % 10] } + [unknown]
        try await pool.withTransaction { transaction in
            _ = try await transaction.query(Query("lock table ledger.job_head in access exclusive mode"))
            read(requests[0])
            try await eventually(equals: 1) {
                try await pool.query(
                    Query(
                        """
                        select from pg_stat_activity
                        where datname = current_database() and wait_event_type = 'Lock'
                        """)
                ).count
            }
            for job in requests.dropFirst() { read(job) }
        }
        var count = 0
        for await (job, result) in found {
            #expect((try result.get() != nil) == (job != unknown))
            count += 1
            if count == requests.count { break }
        }
    }

    @Test(
        "a step takes one round trip, and per portion two, or three if it supersedes executions",
        arguments: [(1, 1, UInt64(1)), (2_000, 10, 1), (2_000, 2_000, 2)])
    func steps(events: Int, tasks: Int, portions: UInt64) async throws {
        try await withQuietLedger { ledger, target in
            let pool = Pool(target: target, logger: TestCluster.logger)
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let other = EventDraft(.executionStarted(ExecutionReference(task: "other", attempt: 1)))
            _ = try await ledger.append([other], to: job)
            _ = try await ProjectionStep(pool: pool, settings: ProjectionSettings()).run([job])
            for (drafts, tripsOfPortion) in [
                (Self.reports(1, events, tasks), UInt64(2)), (Self.reports(2, events, tasks), 2),
                (Self.starts(tasks), 3),
            ] {
                _ = try await ledger.append(drafts, to: job)
                let before = await pool.statistics.roundTrips
                // A new step has no states in memory.
                let result = try await ProjectionStep(pool: pool, settings: ProjectionSettings()).run([job])
                let trips = await pool.statistics.roundTrips - before
                #expect(result.eventCount == drafts.count)
                #expect(trips == 1 + portions * tripsOfPortion)
            }
            await pool.close()
        }
    }

    @Test("a step that has the state of a job in memory takes two round trips", arguments: [(1, 1), (2_000, 10)])
    func stepsInMemory(events: Int, tasks: Int) async throws {
        try await withQuietLedger { ledger, target in
            let pool = Pool(target: target, logger: TestCluster.logger)
            let step = ProjectionStep(pool: pool, settings: ProjectionSettings())
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            for drafts in [
                Self.reports(1, events, tasks), Self.reports(2, events, tasks), Self.starts(tasks),
                Self.reports(3, events, 2 * tasks),
            ] {
                _ = try await ledger.append(drafts, to: job)
                let before = await pool.statistics.roundTrips
                #expect(try await step.run([job]).eventCount >= drafts.count)
                #expect(await pool.statistics.roundTrips - before == 2)
            }
            await pool.close()
        }
    }

    private static func reports(_ round: Int, _ events: Int, _ tasks: Int) -> [EventDraft] {
        (0..<events).map { LargeLedger.progress($0 % tasks, 1, report: Int64(round * events + $0)) }
    }

    /// Second attempts, which supersede units on indicators that they do not name.
    private static func starts(_ tasks: Int) -> [EventDraft] {
        (0..<tasks).map { task in
            EventDraft(.executionStarted(ExecutionReference(task: Name("task \(task)"), attempt: 2)))
        }
    }

    @Test("a step for many jobs takes as many round trips as one for a single job")
    func stepsOfManyJobs() async throws {
        try await withQuietLedger { ledger, target in
            var jobs: [JobID] = []
            for _ in 0..<50 { jobs.append(try await ledger.createJob(JobDescription(name: "n")).view.id) }
            let pool = Pool(target: target, logger: TestCluster.logger)
            // New jobs have no state to read.
            for tripsExpected in [UInt64(2), 3] {
                _ = try await ledger.append(jobs.map { (job: $0, draft: Self.drafts(1)[0]) })
                let before = await pool.statistics.roundTrips
                let result = try await ProjectionStep(pool: pool, settings: ProjectionSettings()).run(jobs)
                #expect(result.folded.count == 50)
                #expect(await pool.statistics.roundTrips - before == tripsExpected)
            }
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
                #expect(try await least { _ = try await ledger.tasks(job, state: nil, limit: limit, after: nil) } == 5)
                #expect(
                    try await least {
                        _ = try await ledger.explain(job, "odd", at: nil, counting: .last, limit: limit, after: nil)
                    } == 3)
                #expect(try await least { _ = try await ledger.heads(after: nil, limit: limit) } == 1)
            }
        }
    }
}
