import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerProjection

@Suite("What a step has in memory at most")
struct StepLimitTests {
    private static let tasks = 10
    private static let jobs = 3

    /// Every task reports once, and then once more.
    private static let drafts: [EventDraft] = (0..<2 * tasks).map { number in
        let reference = ExecutionReference(task: Name("t\(number % tasks)"), attempt: 1)
        return EventDraft(.progress(ProgressReport(reference: reference, done: 1)))
    }

    private func step(_ pool: Pool, tasksMax: Int) -> ProjectionStep {
        var settings = ProjectionSettings()
        settings.tasksPerPortionMax = tasksMax
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

    /// Of 60 events on 30 tasks. With twelve, the second job is divided; each portion begins where a task more would come.
    @Test(
        "what touches many tasks is folded in portions, with the same result", arguments: [(60, 1), (12, 3), (1, 60)])
    func portions(tasksMax: Int, portions: Int) async throws {
        try await withJobs { ledger, target, jobs in
            let pool = Pool(target: target, logger: TestCluster.logger)
            let result = try await step(pool, tasksMax: tasksMax).run(jobs)
            #expect(result.folded.map(\.job) == jobs && result.folded.map(\.sequence) == [21, 21, 21])
            #expect(result.eventCount == 60)
            #expect(result.unfinished.isEmpty && result.unclaimed.isEmpty && result.damaged.isEmpty)
            #expect(await pool.statistics.roundTrips == 1 + 2 * portions)
            await pool.close()
            for job in jobs {
                let view = try #require(try await ledger.job(job))
                #expect(view.snapshot.tasks.total == Int64(Self.tasks))
                #expect(view.snapshot.indicators.map(\.counted.done) == [20])
            }
        }
    }

    @Test("of a job whose state is damaged no portion is stored, and the others are folded")
    func damaged() async throws {
        try await withJobs { ledger, target, jobs in
            let whole = step(ledger.pool, tasksMax: 60)
            _ = try await whole.run(jobs)
            for job in jobs { _ = try await ledger.append(Self.drafts, to: job) }
            _ = try await tamper(
                target, "alter table ledger.indicator drop constraint indicator_done_conserved", [])
            let changed = try await tamper(
                target, "update ledger.indicator set counted_done = counted_done + 1 where job_id = $1", [jobs[1]])
            #expect(changed == 1)
            let result = try await step(ledger.pool, tasksMax: 4).run(jobs)
            #expect(result.damaged.map(\.job) == [jobs[1]] && result.unfinished.isEmpty)
            #expect(result.folded.map(\.job) == [jobs[0], jobs[2]] && result.folded.map(\.sequence) == [41, 41])
            var sequences: [Int64?] = []
            for job in jobs { sequences.append(try await ledger.job(job)?.snapshot.sequence) }
            #expect(sequences == [41, 21, 41])
        }
    }
}
