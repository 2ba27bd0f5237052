import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

/// The contract of `LedgerService`: filters and orders of tasks, uncounted units.
@Suite("Contract of a ledger: tasks")
struct LedgerServiceContractTaskTests {
    @Test(
        "tasks are found and sorted as the fold does it, now and in the past", arguments: LedgerImplementation.allCases)
    func filters(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [
                .start("Tile-9", attempt: 1), .start("tile-10", attempt: 1), .start("plan", attempt: 1),
                .start("plan", attempt: 2),
                .start("tile_1", attempt: 1), .finish("tile_1", attempt: 1), .start("É%", attempt: 1),
                .finish("Tile-9", attempt: 1),
            ])
            var fold = Fold()
            for entry in try await ledger.allEvents(job) { try fold.apply(entry.event) }
            let filters = [
                TaskFilter(), TaskFilter(search: "TILE"), TaskFilter(search: "_"), TaskFilter(search: "é%"),
                TaskFilter(name: "plan"), TaskFilter(name: "Plan"), TaskFilter(state: .running, search: "e"),
                TaskFilter(search: Name(String(repeating: "x", count: 201))),
            ]
            for order in TaskOrder.allCases {
                for var filter in filters {
                    filter.order = order
                    for moment in [nil, PointInTime.sequence(9)] {
                        // Now is later than the last event, at which all executions have taken no time yet.
                        let now = moment == nil ? Timestamp(microseconds: 4_000_000_000_000_000) : nil
                        let expected = fold.taskSummaries(filter, now: now, limit: 10).tasks.map(\.name)
                        let page = try await ledger.tasks(job, filter, at: moment, limit: 10, after: nil)
                        #expect(try #require(page).tasks.map(\.name) == expected, "\(filter)")
                        #expect(page?.nextCursor == nil)
                    }
                }
            }
            #expect(try await ledger.tasks(JobID(high: 1, low: 2), TaskFilter(), at: nil, limit: 1, after: nil) == nil)
        }
    }

    @Test(
        "pages continue in both orders by start, and others have only the first",
        arguments: LedgerImplementation.allCases)
    func pages(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let names = (1...7).map { Name("t\($0)") }
            let job = try await ledger.job(with: names.map { .start($0, attempt: 1) })
            for order in TaskOrder.allCases {
                let filter = TaskFilter(order: order)
                var found: [Name] = []
                var cursor: TaskID?
                repeat {
                    let page = try #require(try await ledger.tasks(job, filter, at: nil, limit: 3, after: cursor))
                    found += page.tasks.map(\.name)
                    cursor = page.nextCursor
                } while cursor != nil && found.count < 20
                switch order {
                case .started: #expect(found == names)
                case .newest: #expect(found == names.reversed())
                default: #expect(found.count == 3, "\(order)")
                }
            }
        }
    }

    @Test(
        "the timeline of all executions is that of the fold, now and in the past",
        arguments: LedgerImplementation.allCases)
    func timeline(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.createJob(JobDescription(name: "n")).view.id
            var last: EventSequence = 1
            // Several appends, so that the events have different times.
            for seed in 1...4 as ClosedRange<UInt64> {
                let drafts = RandomHistory.events(count: 100, seed: seed).dropFirst().map {
                    EventDraft($0.body, at: $0.at)
                }
                last = try await ledger.append(drafts, to: job).upperBound
            }
            #expect(try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout))
            let events = try await ledger.allEvents(job)
            let start = try #require(events.first).event.recordedAt
            let end = try #require(events.last).event.recordedAt
            for moment in [nil, 0, 1, EventSequence(last.number / 2), last] as [EventSequence?] {
                var fold = Fold()
                for entry in events.prefix(Int((moment ?? last).number)) { try fold.apply(entry.event) }
                for (end, intervals) in [
                    (end, 1), (end, 7), (Timestamp(microseconds: end.microseconds + 10_000_000), 120),
                ] {
                    let empty = ExecutionTimeline(from: start, to: end, intervals: intervals)
                    let found = try await ledger.timeline(job, empty, at: moment.map { .sequence($0) })
                    let expected = fold.timeline(empty)
                    #expect(found.ended == expected.ended, "at \(String(describing: moment)), \(intervals) intervals")
                    #expect(Set(found.working.keys) == Set(expected.working.keys))
                    for (kind, counts) in expected.working {
                        let differences = zip(counts, found.working[kind] ?? []).map { abs($0 - $1) }
                        #expect(differences.allSatisfy { $0 < 1e-6 } && differences.count == intervals, "\(kind)")
                    }
                }
            }
            let empty = ExecutionTimeline(from: start, to: end, intervals: 2)
            #expect(try await ledger.timeline(LedgerImplementation.unknownJob, empty, at: nil) == empty)
        }
    }

    @Test("silent tasks can be sorted, too", arguments: LedgerImplementation.allCases)
    func silent(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let description = JobDescription(name: "j", tags: [JobDescription.leaseTag: "1"])
            let job = try await ledger.createJob(description).view.id
            let drafts =
                ["b", "a", "c"].map { EventDraft(.start($0, attempt: 1)) } + [EventDraft(.finish("c", attempt: 1))]
            let last = try await ledger.append(drafts, to: job).upperBound
            #expect(try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout))
            for (order, names) in [(TaskOrder.name, ["a", "b"]), (.newest, ["a", "b"]), (.started, ["b", "a"])] {
                try await eventually(equals: names) {
                    let filter = TaskFilter(onlySilent: true, order: order)
                    let page = try #require(try await ledger.tasks(job, filter, at: nil, limit: 10, after: nil))
                    return page.tasks.map(\.name.text)
                }
            }
        }
    }

    @Test("what does not count is listed alone, page by page", arguments: LedgerImplementation.allCases)
    func uncounted(_ implementation: LedgerImplementation) async throws {
        try await implementation.withLedger { ledger in
            let job = try await ledger.job(with: [
                .units("a", attempt: 1, done: 3), .units("a", attempt: 2, done: 1), .units("b", attempt: 1, done: 5),
                .units("c", attempt: 1, report: 1, done: 1), .units("c", attempt: 1, report: 1, done: 1),
                .units("d", attempt: 1, done: 2), .units("d", attempt: 2, done: 2),
            ])
            for moment in [nil, PointInTime.sequence(8)] {
                var entries: [Explanation.Entry] = []
                var cursor: Explanation.Cursor?
                repeat {
                    let result = try await ledger.explain(
                        job, nil, at: moment, counting: .last, onlyUncounted: true, limit: 2, after: cursor)
                    guard case .found(let page) = result else {
                        Issue.record("no explanation")
                        return
                    }
                    #expect(page.indicator.counted.done == 9, "the sums are those of all executions")
                    entries += page.entries
                    cursor = page.nextCursor
                } while cursor != nil
                #expect(entries.map { "\($0.task) \($0.execution.attempt)" } == ["a 1", "c 1", "d 1"])
                #expect(entries.map(\.superseded.done) == [3, 0, 2])
                #expect(entries.map(\.discarded.done) == [0, 1, 0])
            }
        }
    }
}
