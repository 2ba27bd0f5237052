import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Estimates of stored jobs")
struct EstimateTests {
    private static func reference(_ task: String) -> ExecutionReference {
        ExecutionReference(task: Name(task), execution: Name("\(task)-1"), attempt: 1)
    }

    private static func report(_ task: String, total: Int64? = nil, done: Int64? = nil) -> EventDraft {
        EventDraft(.progress(ProgressReport(reference: reference(task), label: "tiles", total: total, done: done)))
    }

    /// Appends a plan of some tasks, and does some of them.
    private static func work(
        _ ledger: PostgresLedger, _ job: JobID, tasks: Int64 = 6, done: Int = 3, finishes: Bool = false
    ) async throws {
        _ = try await ledger.append([report("root", total: tasks)], to: job)
        for number in 0..<done {
            let task = "t\(number)"
            _ = try await ledger.append([EventDraft(.executionStarted(reference(task)))], to: job)
            _ = try await ledger.append(
                [report(task, done: 1), EventDraft(.executionFinished(reference(task), .succeeded))], to: job)
        }
        var last = try await ledger.append([report("root")], to: job).upperBound
        if finishes { last = try await ledger.append([EventDraft(.jobFinished(.completed))], to: job).upperBound }
        let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
        #expect(isFolded)
    }

    private static func create(_ ledger: PostgresLedger, _ name: Name, tags: [Name: Name] = [:]) async throws -> JobID {
        try await ledger.createJob(JobDescription(name: name, tags: tags)).view.id
    }

    private static func summaries(_ ledger: PostgresLedger) async throws -> Int64 {
        try await ledger.pool.query(Query("select count(*) from ledger.run_summary"))[0].decode(0)
    }

    /// The stored state, from all its parts.
    private static func storedState(_ ledger: PostgresLedger, _ job: JobID) async throws -> EstimateState? {
        let rows = try await ledger.pool.query(
            Query(
                """
                select snapshot.estimate,
                    (
                        select string_agg(pattern, ''::bytea) from ledger.indicator
                        where indicator.job_id = snapshot.job_id and indicator.projection = snapshot.projection
                    ),
                    (
                        select string_agg(work, ''::bytea) from ledger.execution
                        where execution.job_id = snapshot.job_id and execution.projection = snapshot.projection
                    )
                from ledger.snapshot
                where job_id = $1 and is_live
                """, [.uuid(job.highAndLow)]))
        guard let row = rows.first, let whole = try row.decodeIfPresent(0, as: [UInt8].self) else { return nil }
        var state = try EstimateState(encoded: whole)
        try state.restore(patterns: try row.decodeIfPresent(1, as: [UInt8].self) ?? [])
        try state.restore(work: try row.decodeIfPresent(2, as: [UInt8].self) ?? [])
        return state
    }

    private static func foldedState(_ ledger: PostgresLedger, _ job: JobID) async throws -> EstimateState {
        let page = try #require(try await ledger.events(job, EventFilter(), after: nil, limit: 1_000))
        var fold = Fold(tracksChanges: false)
        var state = EstimateState()
        for event in page.events { try state.apply(event.event, to: &fold) }
        return state
    }

    @Test("the stored state is that of the events, and a past estimate equals the pure one", arguments: [UInt64(5), 6])
    func agreesWithTheFold(seed: UInt64) async throws {
        try await withLedger { ledger in
            let job = try await Self.create(ledger, "n")
            var drafts = RandomHistory.events(count: 120, seed: seed).dropFirst().map { EventDraft($0.body) }[...]
            while !drafts.isEmpty {
                _ = try await ledger.append(Array(drafts.prefix(15)), to: job)
                drafts = drafts.dropFirst(15)
            }
            _ = try await ledger.waitUntilFolded(job, sequence: 120, deadline: .testTimeout)
            let expected = try await Self.foldedState(ledger, job)
            let stored = try await Self.storedState(ledger, job)
            #expect(stored == expected)
            let page = try #require(try await ledger.events(job, EventFilter(), after: nil, limit: 1_000))
            var fold = Fold(tracksChanges: false)
            var state = EstimateState()
            for event in page.events.map(\.event) {
                try state.apply(event, to: &fold)
                let past = try #require(
                    try await ledger.job(job, at: .sequence(event.sequence), counting: .last)?.estimate)
                let pure = Estimator(state, fold.snapshot(), history: nil, startedTasks: [])
                    .estimate(at: event.recordedAt)
                #expect(past.estimate == pure, "seed \(seed), event \(event.sequence)")
                #expect(past.at == event.recordedAt)
                let found = try await ledger.job(job, at: .sequence(event.sequence), counting: .last)?.stalls
                let stalls = StallDetector(state, fold.snapshot(), of: JobDescription(name: "n"), history: nil)
                    .stalls(at: event.recordedAt)
                #expect(found == stalls, "seed \(seed), event \(event.sequence)")
            }
        }
    }

    @Test("a completed job teaches the next one of its name, and no other")
    func history() async throws {
        try await withLedger { ledger in
            try await Self.work(ledger, try await Self.create(ledger, "nightly"), done: 6, finishes: true)
            try await eventually(equals: 1) { try await Self.summaries(ledger) }
            let next = try await Self.create(ledger, "nightly")
            try await Self.work(ledger, next, done: 1)
            let estimate = try #require(try await ledger.job(next)?.estimate)
            #expect(estimate.estimate.basis == .history && estimate.estimate.remaining != nil)
            #expect(estimate.trackRecord?.jobs == 1)
            let other = try await Self.create(ledger, "weekly")
            try await Self.work(ledger, other, done: 1)
            let alone = try #require(try await ledger.job(other)?.estimate)
            #expect(alone.estimate.basis == .job && alone.trackRecord == nil)
            let leftOut = try await Self.create(ledger, "nightly", tags: ["ledger.history": "none"])
            try await Self.work(ledger, leftOut, done: 1)
            #expect(try await ledger.job(leftOut)?.estimate?.estimate.basis == .job)
        }
    }

    @Test("a summary of a later version is neither read nor replaced")
    func laterVersion() async throws {
        try await withLedger { ledger in
            let first = try await Self.create(ledger, "nightly")
            try await Self.work(ledger, first, done: 6, finishes: true)
            try await eventually(equals: 1) { try await Self.summaries(ledger) }
            func versions() async throws -> [Int16] {
                try await ledger.pool.query(Query("select version from ledger.run_summary")).map { try $0.decode(0) }
            }
            #expect(try await versions() == [RunSummary.version])
            _ = try await ledger.pool.query(
                Query("update ledger.run_summary set version = $1", [.int2(RunSummary.version + 1)]))
            let next = try await Self.create(ledger, "nightly")
            try await Self.work(ledger, next, done: 1)
            #expect(try await ledger.job(next)?.estimate?.estimate.basis == .job)
            _ = try await ledger.pool.query(
                Query("update ledger.snapshot set is_estimated = false where job_id = $1", [.uuid(first.highAndLow)]))
            try await eventually(equals: 0) { try await ledger.status().unestimatedJobs }
            #expect(try await versions() == [RunSummary.version + 1])
        }
    }

    @Test("a job too large to be folded again is summarised from its stored parts, without a score")
    func largeJob() async throws {
        var settings = ProjectionSettings()
        settings.estimateExecutionsMax = 2
        try await withLedger(projection: settings) { ledger in
            let job = try await Self.create(ledger, "nightly")
            try await Self.work(ledger, job, tasks: 8, done: 8, finishes: true)
            // Late events follow the end.
            let late = try await ledger.append([Self.report("root"), Self.report("t1", done: 1)], to: job)
            #expect(try await ledger.waitUntilFolded(job, sequence: late.upperBound, deadline: .testTimeout))
            try await eventually(equals: 0) { try await ledger.status().unestimatedJobs }
            let page = try #require(try await ledger.events(job, EventFilter(), after: nil, limit: 1_000))
            let events = page.events.map(\.event)
            let end = try #require(events.first { $0.body.type == .jobFinished })
            var fold = Fold(tracksChanges: false)
            var review = RunReview(
                from: events[1].recordedAt, to: end.recordedAt, events: Int64(events.count), history: nil)
            for event in events { try review.apply(event, to: &fold) }
            let expected = try #require(review.summary(of: fold))
            let rows = try await ledger.pool.query(
                Query("select sequence, summary, estimates from ledger.run_summary"))
            #expect(try rows.count == 1 && rows[0].decode(0, as: EventSequence.self) == end.sequence)
            #expect(try rows[0].decode(1, as: [UInt8].self) == expected.encoded)
            #expect(try rows[0].decode(2, as: Int64.self) == 0)
            let next = try await Self.create(ledger, "nightly")
            try await Self.work(ledger, next, done: 1)
            let estimate = try #require(try await ledger.job(next)?.estimate)
            #expect(estimate.estimate.basis == .history && estimate.trackRecord?.jobs ?? 0 == 0)
        }
    }

    @Test("a job in the past sees only the jobs that had ended by then")
    func visibility() async throws {
        try await withLedger { ledger in
            let later = try await Self.create(ledger, "nightly")
            try await Self.work(ledger, later, done: 2)
            let before = try #require(try await ledger.job(later)?.snapshot.updatedAt)
            try await Self.work(ledger, try await Self.create(ledger, "nightly"), done: 6, finishes: true)
            try await eventually(equals: 1) { try await Self.summaries(ledger) }
            let then = try #require(try await ledger.job(later, at: .time(before), counting: .last)?.estimate)
            #expect(then.estimate.basis == .job)
            // The newest summaries are read once a second.
            try await eventually(equals: .history) { try await ledger.job(later)?.estimate?.estimate.basis }
        }
    }

    @Test("a summary ceases to count when its job runs again")
    func reopened() async throws {
        try await withLedger { ledger in
            let first = try await Self.create(ledger, "nightly")
            try await Self.work(ledger, first, done: 6, finishes: true)
            try await eventually(equals: 1) { try await Self.summaries(ledger) }
            let last = try await ledger.append([EventDraft(.executionStarted(Self.reference("again")))], to: first)
            let isFolded = try await ledger.waitUntilFolded(
                first, sequence: last.upperBound, deadline: .testTimeout)
            #expect(isFolded)
            let next = try await Self.create(ledger, "nightly")
            try await Self.work(ledger, next, done: 1)
            #expect(try await ledger.job(next)?.estimate?.estimate.basis == .job)
        }
    }

    @Test("states and summaries that are missing after an upgrade are built, and status counts them")
    func rebuild() async throws {
        try await withLedgerDatabase { target in
            let (running, expected) = try await withRunningLedger(on: target) { ledger in
                try await Self.work(ledger, try await Self.create(ledger, "done"), done: 6, finishes: true)
                let job = try await Self.create(ledger, "running")
                try await Self.work(ledger, job, done: 3)
                try await eventually(equals: 1) { try await Self.summaries(ledger) }
                return (job, try await Self.storedState(ledger, job))
            }
            let owner = Pool(target: target, logger: TestCluster.logger)
            for update in [
                "update ledger.snapshot set estimate = null, is_estimated = false",
                "update ledger.indicator set pattern = null", "update ledger.execution set work = null",
            ] {
                _ = try await owner.query(Query(update))
            }
            _ = try await owner.query(Query("delete from ledger.run_summary"))
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let status = try await ledger.status()
                #expect(status.unestimatedJobs == 2)
                let job = try await ledger.job(running)
                #expect(job?.estimate?.estimate.reason == .pastUnknown)
            }
            try await withRunningLedger(on: target) { ledger in
                try await eventually(equals: 0) { try await ledger.status().unestimatedJobs }
                let (summaries, state) = (try await Self.summaries(ledger), try await Self.storedState(ledger, running))
                #expect(summaries == 1 && state == expected)
            }
            await owner.close()
        }
    }

    @Test("states of an earlier version are built again, also those of jobs without further events")
    func outdated() async throws {
        try await withLedgerDatabase { target in
            let (job, expected) = try await withRunningLedger(on: target) { ledger in
                let job = try await Self.create(ledger, "running")
                try await Self.work(ledger, job, done: 3)
                return (job, try await Self.storedState(ledger, job))
            }
            let owner = Pool(target: target, logger: TestCluster.logger)
            _ = try await owner.query(Query("update ledger.snapshot set estimate = set_byte(estimate, 0, 1)"))
            try await withRunningLedger(on: target) { ledger in
                // Until then, the stored state cannot be read.
                try await eventually(equals: expected, retriesErrors: true) {
                    try await Self.storedState(ledger, job)
                }
            }
            await owner.close()
        }
    }

    @Test("jobs with unreadable events delay no other")
    func unreadable() async throws {
        try await withLedgerDatabase { target in
            var jobs: [JobID] = []
            try await withRunningLedger(on: target) { ledger in
                // More than are built at once.
                for _ in 0..<22 { jobs.append(try await Self.create(ledger, "n")) }
                for job in jobs { try await Self.work(ledger, job, done: 0) }
            }
            let last = try #require(jobs.max())
            let owner = Pool(target: target, logger: TestCluster.logger)
            _ = try await owner.query(Query("alter table ledger.event drop constraint event_fields", prepare: false))
            let changed = try await tamper(
                target, "update ledger.event set type = 99 where job_id <> $1 and sequence = 2", [last])
            #expect(changed == 21)
            _ = try await owner.query(Query("update ledger.snapshot set estimate = null, is_estimated = false"))
            try await withRunningLedger(on: target) { ledger in
                try await eventually({ $0 != nil }) { try await Self.storedState(ledger, last) }
                #expect(try await ledger.status().unestimatedJobs == 21)
            }
            await owner.close()
        }
    }

    @Test("a track record counts the jobs of the name within a confinement")
    func trackRecord() async throws {
        try await withLedger { ledger in
            for team in ["a", "a", "b"] as [Name] {
                try await Self.work(
                    ledger, try await Self.create(ledger, "nightly", tags: ["team": team]), done: 6, finishes: true)
            }
            try await eventually(equals: 3) { try await Self.summaries(ledger) }
            let all = try await ledger.trackRecord(of: "nightly", within: .unconfined)
            #expect(all.jobs == 3 && all.errorFactorP50 ?? 0 >= 1)
            let confined = try await ledger.trackRecord(of: "nightly", within: Confinement(tags: ["team": "a"]))
            #expect(confined.jobs == 2)
            let none = try await ledger.trackRecord(of: "weekly", within: .unconfined)
            #expect(none == TrackRecord())
        }
    }
}

extension JobID {
    fileprivate var highAndLow: UUIDBytes { UUIDBytes(high: high, low: low) }
}
