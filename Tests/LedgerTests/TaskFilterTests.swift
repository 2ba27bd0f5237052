import Ledger
import LedgerTestSupport
import Testing

@Suite("Filters and orders of tasks")
struct TaskFilterTests {
    /// A fold of these tasks.
    ///
    /// Each has a number of executions, the second of their start, and that of the end of the last one if it has ended.
    private static func fold(_ tasks: [(name: Name, executions: Int, start: Int64, end: Int64?)]) throws -> Fold {
        var fold = Fold(tracksChanges: false)
        var events: [(at: Int64, body: EventBody)] = [(0, .jobCreated(JobDescription(name: "j")))]
        for task in tasks {
            for attempt in 1...task.executions {
                let reference = ExecutionReference(task: task.name, attempt: Int32(attempt))
                events.append((task.start, .executionStarted(reference)))
                if attempt == task.executions, let end = task.end {
                    events.append((end, .executionFinished(reference, .succeeded)))
                }
            }
        }
        for (index, event) in events.sorted(by: { $0.at < $1.at }).enumerated() {
            try fold.apply(
                Event(
                    sequence: EventSequence(index + 1), recordedAt: Timestamp(microseconds: event.at * 1_000_000),
                    body: event.body))
        }
        return fold
    }

    private static func names(_ fold: Fold, _ filter: TaskFilter, limit: Int = 10, after: TaskID? = nil) -> [String] {
        let now = Timestamp(microseconds: 100_000_000)
        return fold.taskSummaries(filter, now: now, limit: limit, after: after).tasks.map(\.name.text)
    }

    @Test("tasks are sorted by each order; running executions have taken until now")
    func orders() throws {
        let fold = try Self.fold([("b", 1, 1, 90), ("a", 3, 2, nil), ("c", 2, 50, nil), ("d", 1, 60, 61)])
        let expected: [TaskOrder: [String]] = [
            .started: ["b", "a", "c", "d"], .newest: ["d", "c", "a", "b"], .name: ["a", "b", "c", "d"],
            .attempts: ["a", "c", "b", "d"], .longest: ["a", "b", "c", "d"], .quietest: ["a", "c", "d", "b"],
        ]
        for order in TaskOrder.allCases {
            #expect(Self.names(fold, TaskFilter(order: order)) == expected[order], "\(order)")
        }
    }

    @Test("names are sorted by Unicode scalars, as PostgreSQL does, and not by Swift's collation")
    func nameOrder() throws {
        let fold = try Self.fold([("é", 1, 1, nil), ("e\u{301}", 1, 2, nil), ("Z", 1, 3, nil), ("a", 1, 4, nil)])
        #expect(
            Self.names(fold, TaskFilter(order: .name)).map { Array($0.unicodeScalars) }
                == ["Z", "a", "e\u{301}", "é"].map { Array($0.unicodeScalars) })
    }

    @Test("tasks are found by a part of the name in any case, and by the exact name")
    func names() throws {
        let fold = try Self.fold([("Tile-1", 1, 1, nil), ("tile-10", 1, 2, 3), ("plan", 1, 4, nil)])
        #expect(Self.names(fold, TaskFilter(search: "TILE")) == ["Tile-1", "tile-10"])
        #expect(Self.names(fold, TaskFilter(state: .running, search: "tile")) == ["Tile-1"])
        #expect(Self.names(fold, TaskFilter(name: "Tile-1")) == ["Tile-1"])
        #expect(Self.names(fold, TaskFilter(name: "tile-1")) == [])
    }

    @Test("pages continue in the orders by start only, in both directions")
    func pages() throws {
        let fold = try Self.fold((1...5).map { (Name("t\($0)"), 1, Int64($0), nil) })
        for order in TaskOrder.allCases {
            let first = fold.taskSummaries(TaskFilter(order: order), limit: 2)
            #expect(first.hasMore == order.isPaged, "\(order)")
        }
        let third = try #require(fold.task("t3")?.id)
        #expect(Self.names(fold, TaskFilter(order: .started), after: third) == ["t4", "t5"])
        #expect(Self.names(fold, TaskFilter(order: .newest), after: third) == ["t2", "t1"])
    }
}
