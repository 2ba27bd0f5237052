import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import Testing

/// The ledgers that must pass the contract suite.
enum LedgerImplementation: String, CaseIterable {
    case memory
    case postgres
    case oneShard = "one shard"
    case threeShards = "three shards"

    static let unknownJob = JobID(high: 0x0190_0000_0000_7000, low: 0x8000_0000_0000_0000)

    /// Runs the closure with an empty ledger.
    func withLedger(isFolding: Bool = true, _ body: (any LedgerService) async throws -> Void) async throws {
        switch self {
        case .memory:
            try await body(InMemoryLedger(isFolding: isFolding))
        case .postgres:
            try await LedgerTestSupport.withLedger(projection: isFolding ? ProjectionSettings() : nil) { ledger in
                try await body(ledger)
            }
        case .oneShard, .threeShards:
            let count = self == .oneShard ? 1 : 3
            try await withShardedLedger(count, projection: isFolding ? ProjectionSettings() : nil) { ledger, _ in
                try await body(ledger)
            }
        }
    }
}

extension LedgerService {
    /// Creates a job and appends these events.
    func job(_ name: Name = "n", key: Name? = nil, with bodies: [EventBody] = []) async throws -> JobID {
        let job = try await createJob(JobDescription(name: name, key: key)).view.id
        if !bodies.isEmpty { try await report(bodies, to: job) }
        return job
    }

    /// Appends events and waits until they are folded.
    func report(_ bodies: [EventBody], to job: JobID) async throws {
        let last = try await append(bodies.map { EventDraft($0) }, to: job).upperBound
        let isFolded = try await waitUntilFolded(job, sequence: last, deadline: .testTimeout)
        try #require(isFolded)
    }

    /// Reads all events in pages of this size, and checks the pages.
    func allEvents(
        _ job: JobID, _ filter: EventFilter = EventFilter(), pagesOf limit: Int = 100
    ) async throws -> [ExplainedEvent] {
        var events: [ExplainedEvent] = []
        var after: EventSequence?
        repeat {
            let page = try #require(try await self.events(job, filter, after: after, limit: limit))
            #expect(page.events.count <= limit)
            events += page.events
            try #require(page.nextAfter != after || after == nil, "a page does not advance")
            after = page.nextAfter
        } while after != nil
        return events
    }

    /// Reads all tasks in pages of this size.
    func allTasks(_ job: JobID, state: TaskState? = nil, pagesOf limit: Int = 100) async throws -> [TaskSummary] {
        var tasks: [TaskSummary] = []
        var cursor: TaskID?
        repeat {
            let page = try #require(try await self.tasks(job, state: state, limit: limit, after: cursor))
            #expect(page.tasks.count <= limit)
            tasks += page.tasks
            try #require(page.nextCursor != cursor || cursor == nil, "a page does not advance")
            cursor = page.nextCursor
        } while cursor != nil
        return tasks
    }

    /// Reads an explanation in pages of this size; nil without such an indicator.
    func wholeExplanation(
        _ job: JobID, _ label: Name?, at moment: PointInTime? = nil, counting policy: CountingPolicy = .last,
        pagesOf limit: Int = 100
    ) async throws -> Explanation? {
        var whole: Explanation?
        var cursor: Explanation.Cursor?
        repeat {
            let result = try await explain(job, label, at: moment, counting: policy, limit: limit, after: cursor)
            guard case .found(let page) = result else { return nil }
            #expect(page.entries.count <= limit)
            if whole == nil { whole = page } else { whole?.entries += page.entries }
            try #require(page.nextCursor != cursor || cursor == nil, "a page does not advance")
            cursor = page.nextCursor
        } while cursor != nil
        whole?.nextCursor = nil
        return whole
    }

    func historyOrNil(_ job: JobID, _ label: Name?, points: Int) async throws -> IndicatorHistory? {
        guard case .found(let history) = try await history(job, label, points: points) else { return nil }
        return history
    }
}

extension EventBody {
    static func start(_ task: Name, _ execution: Name? = nil, attempt: Int32? = nil) -> EventBody {
        .executionStarted(ExecutionReference(task: task, execution: execution, attempt: attempt))
    }

    static func units(
        _ task: Name, _ execution: Name? = nil, attempt: Int32? = nil, report: Int64? = nil, label: Name? = nil,
        total: Int64? = nil, done: Int64? = nil
    ) -> EventBody {
        .progress(
            ProgressReport(
                reference: ExecutionReference(task: task, execution: execution, attempt: attempt), report: report,
                label: label, total: total, done: done))
    }

    static func finish(
        _ task: Name, _ execution: Name? = nil, attempt: Int32? = nil, _ outcome: ExecutionOutcome = .succeeded
    ) -> EventBody {
        .executionFinished(ExecutionReference(task: task, execution: execution, attempt: attempt), outcome)
    }
}
