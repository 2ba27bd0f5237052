import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerProjection

/// How often the service waits for PostgreSQL: by what is done, never by how many events or jobs it is done with. Over a
/// network each time costs as much as the whole rest.
@Suite("Round trips")
struct RoundTripTests {
    /// Where the round trips are counted: by the same figures that operators see.
    private enum Way: String {
        case appending = "progress_ledger_append_round_trips_total"
        /// Also the way of the projection.
        case reading = "progress_ledger_database_round_trips_total"
    }

    private static func count(_ ledger: PostgresLedger, _ way: Way, _ body: () async throws -> Void) async throws -> Int
    {
        let before = try await figures(ledger, way)
        try await body()
        // What is counted is read before the figures cause round trips of their own.
        let after = try await figures(ledger, way)
        let trips = after.trips - before.trips
        switch way {
        case .reading: return trips - readingOfFigures
        // On a machine with too much to do some groups come too late, which costs each exactly two.
        case .appending: return trips - 2 * (after.late - before.late)
        }
    }

    private static func figures(_ ledger: PostgresLedger, _ way: Way) async throws -> (trips: Int, late: Int) {
        let statistics = await ledger.statistics()
        func figure(_ name: String) throws -> Int {
            Int(try #require(statistics.first { $0.name == name }).value)
        }
        return (try figure(way.rawValue), try figure("progress_ledger_append_late_total"))
    }

    /// The figures themselves are read by two transactions of one round trip each, after they were counted.
    private static let readingOfFigures = 2

    private static func drafts(_ count: Int) -> [EventDraft] {
        (0..<count).map { LargeLedger.progress($0, 1, report: 1) }
    }

    /// Without a worker and without anybody to tell of what happens, so that nothing else goes to the database.
    private func withQuietLedger(_ body: (PostgresLedger, ConnectionTarget) async throws -> Void) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                // What is done once, at the beginning: partitions, and the first connection of each way.
                _ = try await ledger.createJob(JobDescription(name: "first"))
                try await eventually {
                    let before = try await Self.figures(ledger, .reading).trips
                    return try await Self.figures(ledger, .reading).trips - before == Self.readingOfFigures
                }
                try await body(ledger, target)
            }
        }
    }

    @Test("an append takes one round trip where the head is known, two where it is not, however many events it has")
    func appends() async throws {
        try await withQuietLedger { ledger, target in
            for events in [1, 3_000] {
                let job = try await Self.jobOfAnotherServer(target)
                let unknown = try await Self.count(ledger, .appending) {
                    _ = try await ledger.append(Self.drafts(events), to: job)
                }
                #expect(unknown == 2, "\(events) events")
                let known = try await Self.count(ledger, .appending) {
                    for _ in 0..<5 { _ = try await ledger.append(Self.drafts(events), to: job) }
                }
                #expect(known == 5, "\(events) events")
            }
        }
    }

    @Test("the first append to a job takes one round trip where the same server created it", arguments: [1, 3_000])
    func appendsToNewJob(events: Int) async throws {
        try await withQuietLedger { ledger, _ in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let trips = try await Self.count(ledger, .appending) {
                let places = try await ledger.append(Self.drafts(events), to: job)
                #expect(places == 2...1 + Int64(events))
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

    @Test("an append to a job that there is not takes two round trips, one to be sure, and no group with others")
    func appendsToNobody() async throws {
        try await withQuietLedger { ledger, _ in
            let nobody = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            for jobs in [[nobody], [job, nobody], [job, nobody]] {
                let trips = try await Self.count(ledger, .appending) {
                    let error = await #expect(throws: StoreError.self) {
                        try await ledger.append(jobs.map { (job: $0, draft: Self.drafts(1)[0]) })
                    }
                    #expect(error?.code == .unknownJob && error?.jobs == [nobody])
                }
                #expect(trips == 2, "\(jobs)")
            }
            let groups = await ledger.statistics().first { $0.name == "progress_ledger_append_groups_total" }
            #expect(groups?.value == 0)
            #expect(try await ledger.job(job)?.ledgerSequence == 1)
        }
    }

    @Test("an append to many jobs takes no more round trips than one to a single job")
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
        "where another server was ahead, the group takes the one that failed and two more, and so do those that follow")
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
            // One that came too late, on a machine with too much to do, has not learnt that there is another server.
            guard after.late == before.late else { return }
            // Of the jobs that it wrote to, the other server writes to one only.
            #expect(
                try await Self.count(ledger, .appending) { _ = try await ledger.append(Self.drafts(1), to: calm) } == 1)
            // For a while the head is asked for first.
            #expect(
                try await Self.count(ledger, .appending) { _ = try await ledger.append(Self.drafts(10), to: job) } == 2)
        }
    }

    @Test(
        "a group that waited for a head for longer than its time is right takes two more, and the next one does not",
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
                        [.uuid(UUIDBytes(high: job.high, low: job.low))]))
                let appending = Task { try await ledger.append(Self.drafts(events), to: job) }
                try await eventually {
                    // By a connection of its own: a transaction looks only once at what others do.
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

    @Test("those who look at snapshots at the same time share round trips")
    func stamps() async throws {
        try await withQuietLedger { ledger, _ in
            var jobs: [JobID] = []
            for _ in 0..<10 { jobs.append(try await ledger.createJob(JobDescription(name: "n")).view.id) }
            let nobody = try #require(JobID("01900000-0000-7000-8000-000000000000"))
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
                        let stamp = try await ledger.stamp(of: nobody)
                        #expect(stamp == nil)
                    }
                    try await group.waitForAll()
                }
            }
            // How many depends on how fast they come; without sharing there would be a thousand.
            #expect((1...500).contains(shared), "\(shared)")
        }
    }

    @Test(
        "a step of the projection takes three round trips, four where runs take the place of others, however many events; more of them where more than a thousand executions are touched",
        arguments: [(1, 1, UInt64(1)), (2_000, 10, 1), (2_000, 2_000, 2)])
    func steps(events: Int, tasks: Int, portions: UInt64) async throws {
        try await withQuietLedger { ledger, target in
            let pool = Pool(target: target, logger: TestCluster.logger)
            let step = ProjectionStep(pool: pool, settings: ProjectionSettings())
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let reports = { round in
                (0..<events).map { LargeLedger.progress($0 % tasks, 1, report: Int64(round * events + $0)) }
            }
            // What they take the place of counts on indicators that the new events do not name.
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

    @Test("a step for many jobs takes no more round trips than one for a single job")
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

    @Test("pages take the same round trips whatever their size")
    func pages() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let last = try await ledger.append(Self.drafts(300), to: job).upperBound
            let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
            #expect(isFolded)
            // With the worker a look of its own may come between: the least of several is what it takes.
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
