import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@testable import LedgerProjection

@Suite("What a step takes at most")
struct StepLimitTests {
    private static let tasks = 10

    /// Every task reports once, and then once more.
    private static let drafts: [EventDraft] = (0..<2 * tasks).map { number in
        let reference = ExecutionReference(task: Name("t\(number % tasks)"), attempt: 1)
        return EventDraft(.progress(ProgressReport(reference: reference, done: 1)))
    }

    private func step(_ ledger: PostgresLedger, tasksMax: Int) -> ProjectionStep {
        var settings = ProjectionSettings()
        settings.tasksPerStepMax = tasksMax
        return ProjectionStep(pool: ledger.pool, settings: settings)
    }

    private func withJobs(_ count: Int, _ body: (PostgresLedger, ConnectionTarget, [JobID]) async throws -> Void)
        async throws
    {
        try await withLedgerDatabase { target in
            try await withRunningLedger(on: target, projection: nil) { ledger in
                var jobs: [JobID] = []
                for number in 0..<count {
                    let job = try await ledger.createJob(JobDescription(name: Name("\(number)"))).view.id
                    #expect(try await ledger.append(Self.drafts, to: job).upperBound == 21)
                    jobs.append(job)
                }
                try await body(ledger, target, jobs)
            }
        }
    }

    @Test("a step touches no more tasks than it may, and what it leaves is folded by the next ones")
    func tasks() async throws {
        try await withJobs(3) { ledger, _, jobs in
            let first = try await step(ledger, tasksMax: 12).run(jobs)
            // The second job up to its third task, the third not at all.
            #expect(first.folded.map(\.job) == Array(jobs[..<2]) && first.folded.map(\.sequence) == [21, 3])
            #expect(Set(first.unfinished) == [jobs[1], jobs[2]] && first.unclaimed.isEmpty && first.damaged.isEmpty)
            // Its creation has been folded with it.
            #expect(first.eventCount == 22)

            var rest = first.unfinished.sorted()
            var steps = 0
            while !rest.isEmpty {
                let result = try await step(ledger, tasksMax: 0).run(rest)
                // One task at the least, or it would never end.
                #expect(result.folded.count == 1 && result.eventCount <= 2)
                rest = result.unfinished.sorted()
                steps += 1
                try #require(steps <= 100)
            }
            for job in jobs {
                let view = try #require(try await ledger.job(job))
                #expect(view.snapshot.sequence == 21 && view.snapshot.indicators.map(\.counted.done) == [20])
            }
        }
    }

    @Test("a job whose state is damaged is told, and not taken up again at once because there is more of it")
    func damaged() async throws {
        try await withJobs(1) { ledger, target, jobs in
            let job = jobs[0]
            #expect(try await step(ledger, tasksMax: 2).run(jobs).folded.map(\.sequence) == [3])
            _ = try await tamper(
                target, "alter table ledger.indicator drop constraint indicator_done_conserved", [])
            let changed = try await tamper(
                target, "update ledger.indicator set counted_done = counted_done + 1 where job_id = $1", [job])
            #expect(changed == 1)
            // Some of its events are left.
            let result = try await step(ledger, tasksMax: 9).run(jobs)
            #expect(result.damaged.map(\.job) == jobs && result.folded.isEmpty && result.unfinished.isEmpty)
        }
    }
}
