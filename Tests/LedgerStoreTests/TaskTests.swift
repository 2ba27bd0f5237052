import Ledger
import LedgerStore
import LedgerTestSupport
import PQ
import Testing

@Suite("Tasks")
struct TaskTests {
    /// The task summaries of the pure fold.
    private func summaries(_ fold: Fold) -> [TaskSummary] {
        var labels: [IndicatorID: Name?] = [:]
        for indicator in fold.indicatorStates { labels.updateValue(indicator.label, forKey: indicator.id) }
        return fold.taskStates.map { task in
            TaskSummary(
                name: task.name, state: task.state.shown(in: fold.progress.state), id: task.id,
                executionCount: task.executionCount,
                executions: fold.executionStates.filter { $0.task == task.id }.sorted { $0.rank < $1.rank }
                    .map { ExecutionSummary($0, labels: labels) })
        }
    }

    @Test("pages of any size equal the pure fold, with and without a filter by state", arguments: [UInt64(3), 4, 5])
    func agreesWithTheFold(seed: UInt64) async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let drafts = RandomHistory.events(count: 400, seed: seed).dropFirst().map { EventDraft($0.body, at: $0.at) }
            _ = try await ledger.append(Array(drafts), to: job)
            _ = try await ledger.waitUntilFolded(job, sequence: 400, deadline: .testTimeout)
            var fold = Fold()
            var position: EventSequence? = 0
            while let after = position {
                let page = try #require(try await ledger.events(job, EventFilter(), after: after, limit: 200))
                for event in page.events { try fold.apply(event.event) }
                position = page.nextAfter
            }
            let expected = summaries(fold)
            #expect(!expected.isEmpty)
            for limit in [1, 2, 1_000] {
                var found: [TaskSummary] = []
                var cursor: TaskID?
                repeat {
                    let page = try #require(try await ledger.tasks(job, state: nil, limit: limit, after: cursor))
                    #expect(page.sequence == 400)
                    #expect(page.tasks.count <= limit)
                    found += page.tasks
                    cursor = page.nextCursor
                } while cursor != nil
                #expect(found == expected, "seed \(seed), pages of \(limit)")
            }
            for state in TaskState.allCases {
                let page = try #require(try await ledger.tasks(job, state: state, limit: 1_000, after: nil))
                #expect(page.tasks == expected.filter { $0.state == state })
            }
            let missing = try await ledger.tasks(JobID(high: 1, low: 2), state: nil, limit: 10, after: nil)
            #expect(missing == nil)
        }
    }

    @Test("a task with very many executions shows the highest ones and the number of all")
    func manyExecutions() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let drafts = (1...250).map { number in
                EventDraft(.executionStarted(ExecutionReference(task: "t", attempt: Int32(number))))
            }
            _ = try await ledger.append(drafts, to: job)
            _ = try await ledger.waitUntilFolded(job, sequence: 251, deadline: .testTimeout)
            let task = try #require(try await ledger.tasks(job, state: nil, limit: 10, after: nil)?.tasks.first)
            #expect(task.executionCount == 250)
            #expect(task.executions.map(\.attempt) == (151...250).map { Int32($0) })
            #expect(task.executions.filter(\.isCounted).map(\.attempt) == [250])
        }
    }

    @Test("a page in the middle of a job with very many tasks reads only its own tasks")
    func deepPages() async throws {
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            for part in 0..<4 {
                let drafts = (0..<5_000).map { number in
                    EventDraft(
                        .progress(
                            ProgressReport(
                                reference: ExecutionReference(task: Name("task \(part * 5_000 + number)")), done: 1)))
                }
                _ = try await ledger.append(drafts, to: job)
            }
            _ = try await ledger.waitUntilFolded(job, sequence: 20_001, deadline: .testTimeout)
            let page = try #require(try await ledger.tasks(job, state: nil, limit: 100, after: 15_001))
            #expect(page.tasks.map(\.id.sequence) == Array(15_002...15_101))
            #expect(page.tasks.first?.name == Name("task 15000"))
            let rows = try await ledger.pool.query(
                Query(
                    """
                    explain (format text) select * from ledger.task
                    where job_id = '00000000-0000-0000-0000-000000000000' and projection = 1 and sequence > 15001
                    order by sequence limit 100
                    """, prepare: false))
            var plan = ""
            for row in rows { plan += try row.decode(0, as: String.self) + "\n" }
            #expect(plan.contains("task_pkey") && !plan.contains("Sort"), "\(plan)")
        }
    }

    @Test("tasks without an end are abandoned once their job has ended, until it is reopened")
    func abandoned() async throws {
        func started(_ task: Name, _ attempt: Int32 = 1) -> EventDraft {
            EventDraft(.executionStarted(ExecutionReference(task: task, attempt: attempt)))
        }
        try await withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            let ended = EventDraft(.executionFinished(ExecutionReference(task: "c", attempt: 1), .succeeded))
            let drafts = [started("a"), started("b"), started("c"), ended, EventDraft(.jobFinished(.completed))]
            let last = try await ledger.append(drafts, to: job).upperBound
            func states(_ state: TaskState? = nil, at moment: EventSequence? = nil) async throws -> [String] {
                let page =
                    if let moment {
                        try await ledger.tasks(job, at: .sequence(moment), state: state, limit: 10, after: nil)
                    } else { try await ledger.tasks(job, state: state, limit: 10, after: nil) }
                return try #require(page).tasks.map { "\($0.name) \($0.state.rawValue)" }
            }
            let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
            #expect(isFolded)
            let counts = try #require(try await ledger.job(job)).snapshot.tasks
            #expect(counts.abandoned == 2 && counts.running == 0 && counts.succeeded == 1 && counts.total == 3)
            for moment in [nil, last] {
                #expect(try await states(at: moment) == ["a abandoned", "b abandoned", "c succeeded"])
                #expect(try await states(.abandoned, at: moment) == ["a abandoned", "b abandoned"])
                #expect(try await states(.running, at: moment) == [])
            }
            #expect(try await states(.running, at: last - 1) == ["a running", "b running"])
            #expect(try await states(.abandoned, at: last - 1) == [])
            #expect(try await ledger.job(job, at: .sequence(last), counting: .last)?.snapshot.tasks == counts)

            let reopened = try await ledger.append([started("c", 2)], to: job).upperBound
            let isOpen = try await ledger.waitUntilFolded(job, sequence: reopened, deadline: .testTimeout)
            #expect(isOpen)
            #expect(try await states() == ["a running", "b running", "c running"])
            let open = try #require(try await ledger.job(job)).snapshot.tasks
            #expect(open.running == 3 && open.abandoned == 0 && open.total == 3)
        }
    }
}
