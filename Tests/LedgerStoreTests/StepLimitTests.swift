import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerProjection

@Suite("Memory limits of a projection step")
struct StepLimitTests {
    private static let tasks = 10
    private static let jobs = 3

    /// Two reports of each task: all tasks once, then all tasks again.
    private static let drafts: [EventDraft] = (0..<2 * tasks).map { number in
        let reference = ExecutionReference(task: Name("t\(number % tasks)"), attempt: 1)
        return EventDraft(.progress(ProgressReport(reference: reference, done: 1)))
    }

    private func step(_ pool: Pool, executionsMax: Int, eventsMax: Int = 5_000) -> ProjectionStep {
        var settings = ProjectionSettings()
        settings.executionsPerPortionMax = executionsMax
        settings.eventsPerJobMax = eventsMax
        return ProjectionStep(pool: pool, settings: settings)
    }

    private func withJobs(
        _ body: (PostgresLedger, ConnectionTarget, [JobID]) async throws -> Void
    ) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                var jobs: [JobID] = []
                for number in 0..<Self.jobs {
                    let job = try await ledger.createJob(JobDescription(name: Name("\(number)"))).view.id
                    #expect(try await ledger.append(Self.drafts, to: job).upperBound == 21)
                    jobs.append(job)
                }
                try await body(ledger, target, jobs)
            }
        }
    }

    /// The arguments for 60 events of 30 executions.
    ///
    /// With a limit of 12, the second job is divided. A portion begins at the execution that would exceed the limit. A
    /// portion reads states unless all its jobs begin in it.
    @Test(
        "a step that touches many executions folds in portions, with the same result",
        arguments: [(60, 1, 0), (12, 3, 2), (1, 60, 57)] as [(Int, UInt64, UInt64)])
    func portions(executionsMax: Int, portions: UInt64, reads: UInt64) async throws {
        try await withJobs { ledger, target, jobs in
            let pool = Pool(target: target, logger: TestCluster.logger)
            let result = try await step(pool, executionsMax: executionsMax).run(jobs)
            #expect(result.folded.map(\.job) == jobs && result.folded.map(\.sequence) == [21, 21, 21])
            #expect(result.eventCount == 60)
            #expect(result.unfinished.isEmpty && result.unclaimed.isEmpty && result.damaged.isEmpty)
            #expect(await pool.statistics.roundTrips == 1 + reads + portions)
            await pool.close()
            for job in jobs {
                let view = try #require(try await ledger.job(job))
                #expect(view.snapshot.tasks.total == Int64(Self.tasks))
                #expect(view.snapshot.indicators.map(\.counted.done) == [20])
            }
        }
    }

    @Test("late reports for many executions of one task are folded in portions as well")
    func executionsOfOneTask() async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                let drafts = (Int32(1)...10).reversed().map { attempt in
                    let reference = ExecutionReference(task: "t", execution: Name("\(attempt)"), attempt: attempt)
                    return EventDraft(.progress(ProgressReport(reference: reference, done: 1)))
                }
                _ = try await ledger.append(drafts, to: job)
                let pool = Pool(target: target, logger: TestCluster.logger)
                _ = try await step(pool, executionsMax: 5).run([job])
                #expect(await pool.statistics.roundTrips == 4)
                await pool.close()
                let view = try #require(try await ledger.job(job))
                #expect(view.snapshot.sequence == 11 && view.snapshot.indicators.map(\.counted.done) == [1])
            }
        }
    }

    @Test("a job with more events than the step's limit is unfinished in any division", arguments: [60, 4])
    func unfinished(executionsMax: Int) async throws {
        try await withJobs { ledger, _, jobs in
            let some = step(ledger.pool, executionsMax: executionsMax, eventsMax: 12)
            #expect(try await some.run([jobs[0]]).unfinished == [jobs[0]])
            let rest = try await some.run(Array(jobs[..<2]))
            #expect(rest.folded.map(\.sequence) == [21, 13] && rest.unfinished == [jobs[1]])
        }
    }

    @Test("a job that is completed and reopened within a step is not completed", arguments: [60, 1])
    func reopened(executionsMax: Int) async throws {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                func start(_ task: Name) -> EventDraft {
                    EventDraft(.executionStarted(ExecutionReference(task: task, attempt: 1)))
                }
                var jobs: [JobID] = []
                for drafts in [[start("a"), EventDraft(.jobFinished(.completed)), start("b")], [start("a")]] {
                    let job = try await ledger.createJob(JobDescription(name: "n")).view.id
                    _ = try await ledger.append(drafts, to: job)
                    jobs.append(job)
                }
                let reopened = try await step(ledger.pool, executionsMax: executionsMax).run(jobs)
                #expect(reopened.folded.map(\.state) == [.running, .running] && reopened.completed.isEmpty)
                _ = try await ledger.append([EventDraft(.jobFinished(.completed))], to: jobs[0])
                #expect(try await step(ledger.pool, executionsMax: executionsMax).run(jobs).completed == [jobs[0]])
            }
        }
    }

    @Test("a damaged job is stored only up to the damage, and the other jobs are folded")
    func damaged() async throws {
        try await withJobs { ledger, target, jobs in
            // The last event is on an indicator of its own.
            let end = EventDraft(
                .progress(ProgressReport(reference: ExecutionReference(task: "t0", attempt: 1), label: "l", done: 1)))
            for job in jobs { _ = try await ledger.append([end], to: job) }
            let whole = step(ledger.pool, executionsMax: 60)
            _ = try await whole.run(jobs)
            for job in jobs { _ = try await ledger.append(Self.drafts + [end], to: job) }
            _ = try await tamper(
                target, "alter table ledger.indicator drop constraint indicator_done_conserved", [])
            let damage = "update ledger.indicator set counted_done = counted_done + 1 where job_id = $1 and label = "
            #expect(try await tamper(target, damage + "''", [jobs[0]]) == 1)
            #expect(try await tamper(target, damage + "'l'", [jobs[1]]) == 1)
            let divided = step(ledger.pool, executionsMax: 4, eventsMax: 21)
            let result = try await divided.run(jobs)
            #expect(result.damaged.map(\.job) == Array(jobs[..<2]) && result.unfinished == [jobs[2]])
            let sequences = result.folded.map(\.sequence)
            try #require(sequences.count == 2)
            // The first sequence is the end of the portion before the damaged one.
            #expect(
                result.folded.map(\.job) == [jobs[1], jobs[2]] && (23..<43).contains(sequences[0]) && sequences[1] == 43
            )
            for (job, sequence) in zip(jobs, [22] + sequences) {
                #expect(try await ledger.job(job)?.snapshot.sequence == sequence)
            }
        }
    }
}
