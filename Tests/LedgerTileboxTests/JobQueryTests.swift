import FoundationEssentials
import Ledger
import SwiftProtobuf
import Testing

@testable import LedgerTilebox

@Suite("Queries of Tilebox's SDK")
struct JobQueryTests {
    private func query(_ adjust: (inout Workflows_V1_QueryJobsRequest) -> Void = { _ in }) throws -> JobQuery {
        // The SDK always sends the filters and the page.
        var request = Workflows_V1_QueryJobsRequest()
        request.filters = .init()
        request.page = .init()
        adjust(&request)
        return try JobQuery(message: request.serializedBytes())
    }

    private func view(
        _ millisecond: Int64, micros: Int64 = 0, _ state: JobState = .completed,
        _ adjust: (inout Snapshot) -> Void = { _ in }
    ) -> JobView {
        let createdAt = Timestamp(microseconds: millisecond * 1_000 + micros)
        var snapshot = Snapshot(
            sequence: 1, state: state, createdAt: createdAt, startedAt: nil, updatedAt: nil, finishedAt: nil,
            tasks: TaskCounts(), indicators: [])
        adjust(&snapshot)
        return JobView(
            id: JobID(createdAt: createdAt, randomHigh: 0, randomLow: UInt64(micros)),
            description: JobDescription(name: Name("\(millisecond)")), createdAt: createdAt, ledgerSequence: 1,
            snapshot: snapshot)
    }

    /// The names of the jobs of a page, and the job after which the next one begins.
    private func page(_ query: JobQuery, of views: [JobView]) throws -> (names: [String], next: JobID?) {
        let bytes = query.response(views, now: .earliest)
        let response = try Workflows_V1_QueryJobsResponse(serializedBytes: bytes)
        return (response.jobs.map(\.name), try JobID(optional: response.nextPage.startingAfter, ""))
    }

    /// Follows the pages of a query over these jobs, as the SDK does.
    private func all(_ views: [JobView], _ adjust: (inout Workflows_V1_QueryJobsRequest) -> Void) throws -> [String] {
        var names: [String] = []
        var next: JobID?
        for _ in 0...views.count {
            let query = try query {
                adjust(&$0)
                if let next { $0.page.startingAfter.uuid = next.data }
            }
            let found = query.filters.flatMap { filter in
                views.filter { view in
                    (filter.states.isEmpty || filter.states.contains(view.snapshot.state))
                        && query.cursor.map { view.id < $0 } ?? true
                        && filter.search.map(view.description.name.contains) ?? true
                }.sorted { $0.id > $1.id }.prefix(query.limit)
            }
            let page = try page(query, of: Array(found))
            names += page.names
            next = page.next
            if next == nil { return names }
        }
        Issue.record("the pages do not end")
        return names
    }

    @Test("without filters every job is listed once, newest first, in pages of the limit")
    func pages() throws {
        let views = (1...25).map { view(Int64($0)) }.shuffled()
        let expected = (1...25).reversed().map { "\($0)" }
        for limit in [1, 5, 7, 25, 26, 1_000, .max] as [Int64] {
            #expect(try all(views) { $0.page.limit = limit } == expected, "\(limit)")
        }
        #expect(try query().limit == 100)
        #expect(try query { $0.page.limit = 0 }.limit == 100)
        #expect(try query { $0.page.limit = .max }.limit == 1_000)
        #expect(try query().filters == [JobFilter()])
        #expect(try query().cursor == nil)
    }

    @Test("states select jobs, and those of running jobs are divided")
    func states() throws {
        let views = [
            view(1, .running), view(2, .running) { $0.startedAt = .earliest },
            view(3, .running) {
                $0.startedAt = .earliest
                $0.tasks.running = 1
            }, view(4, .completed), view(5, .failed), view(6, .canceled),
        ]
        for (states, expected) in [
            ([.submitted], ["1"]), ([.started], ["2"]), ([.running], ["3"]), ([.completed], ["4"]),
            ([.failed, .canceled], ["6", "5"]), ([.completed, .running, .submitted], ["4", "3", "1"]),
            ([.unspecified], []), ([.UNRECOGNIZED(99)], []),
        ] as [([Workflows_V1_JobState], [String])] {
            for limit in [1, 100] as [Int64] {
                let names = try all(views) {
                    $0.filters.states = states
                    $0.page.limit = limit
                }
                #expect(names == expected, "\(states)")
            }
        }
        // A job that changes its state between two queries is found twice and listed once.
        let query = try query { $0.filters.states = [.running, .started, .failed] }
        #expect(query.filters.count == 2)
        #expect(try page(query, of: [views[2], view(3, .failed)]).names == ["3"])
    }

    @Test("states of tasks select the jobs with such a task")
    func taskStates() throws {
        let views = [
            view(1, .running) { $0.tasks.running = 1 }, view(2) { $0.tasks.succeeded = 1 },
            view(3) { $0.tasks.failed = 2 }, view(4) { $0.tasks.abandoned = 1 }, view(5),
        ]
        for (states, expected) in [
            ([.running], ["1"]), ([.computed, .failed], ["3", "2"]), ([.skipped], ["4"]), ([.queued], []),
            ([.failedOptional], []),
        ] as [([Workflows_V1_TaskState], [String])] {
            #expect(try all(views) { $0.filters.taskStates = states } == expected, "\(states)")
        }
    }

    @Test("a time interval includes exactly its bounds, to the microsecond")
    func times() throws {
        let views = [view(9), view(10, micros: 499), view(10, micros: 500), view(10, micros: 501), view(11)]
        let moments = views.map { Google_Protobuf_Timestamp($0.createdAt) }
        for first in views.indices {
            for last in first..<views.count {
                for (isExclusive, isInclusive) in [(false, false), (true, false), (false, true), (true, true)] {
                    let lower = first + (isExclusive ? 1 : 0)
                    let upper = last - (isInclusive ? 0 : 1)
                    for limit in [1, 2, 100] as [Int64] {
                        let names = try all(views) {
                            $0.page.limit = limit
                            $0.filters.timeInterval.startTime = moments[first]
                            $0.filters.timeInterval.endTime = moments[last]
                            $0.filters.timeInterval.startExclusive = isExclusive
                            $0.filters.timeInterval.endInclusive = isInclusive
                        }
                        let expected =
                            lower <= upper ? views[lower...upper].reversed().map(\.description.name.text) : []
                        #expect(names == expected, "\(first) \(last) \(isExclusive) \(isInclusive)")
                    }
                }
            }
        }
        #expect(try all(views) { $0.filters.timeInterval.startTime = moments[4] } == ["11"])
        #expect(try all(views) { $0.filters.timeInterval.endTime = moments[1] } == ["9"])
    }

    @Test("an interval of ids includes exactly its bounds, and reads no job beyond them")
    func ids() throws {
        let views = (1...5).map { view(Int64($0)) }
        for (isExclusive, isInclusive, expected) in [
            (false, true, ["4", "3", "2"]), (true, true, ["4", "3"]), (false, false, ["3", "2"]), (true, false, ["3"]),
        ] {
            for limit in [1, 2, 100] as [Int64] {
                let names = try all(views) {
                    $0.page.limit = limit
                    $0.filters.idInterval.startID.uuid = views[1].id.data
                    $0.filters.idInterval.endID.uuid = views[3].id.data
                    $0.filters.idInterval.startExclusive = isExclusive
                    $0.filters.idInterval.endInclusive = isInclusive
                }
                #expect(names == expected)
            }
        }
        let highest = Data(repeating: 0xFF, count: 16)
        let everything = try all(views) {
            $0.filters.idInterval.endID.uuid = highest
            $0.filters.idInterval.endInclusive = true
        }
        #expect(everything.count == 5)
        #expect(try query { $0.filters.idInterval.endID.uuid = highest }.cursor == JobID(high: .max, low: .max))
        let next = try query {
            $0.filters.idInterval.endID.uuid = JobID(high: 1, low: .max).data
            $0.filters.idInterval.endInclusive = true
        }
        #expect(next.cursor == JobID(high: 2, low: 0))
        // A page that ends at the lower bound is the last one.
        let last = try query {
            $0.page.limit = 1
            $0.filters.idInterval.startID.uuid = views[0].id.data
        }
        #expect(try page(last, of: [views[0]]).next == nil)
        #expect(try page(last, of: [views[1]]).next == views[1].id)
    }

    @Test("a name is searched; automations and clusters match no job")
    func others() throws {
        let views = [view(12), view(21), view(3)]
        #expect(try all(views) { $0.filters.name = "2" } == ["21", "12"])
        #expect(try all(views) { $0.filters.clusterSlugs = ["gpu"] } == [])
        #expect(try all(views) { $0.filters.automationIds = [Tilebox_V1_ID()] } == [])
    }

    @Test("an invalid query is refused")
    func invalid() throws {
        let adjustments: [(inout Workflows_V1_QueryJobsRequest) -> Void] = [
            { $0.page.limit = -1 }, { $0.page.startingAfter.uuid = Data([1]) }, { $0.sortDirection = .ascending },
            { $0.filters.name = "a\0" }, { $0.filters.idInterval.startID.uuid = Data(repeating: 1, count: 17) },
            { $0.filters.timeInterval.startTime.seconds = .max }, { $0.filters.timeInterval.endTime.seconds = .min },
            { $0.filters.timeInterval.endTime.nanos = -1 }, { $0.filters.timeInterval.endTime.nanos = 1_000_000_000 },
        ]
        for (index, adjust) in adjustments.enumerated() {
            let error = #expect(throws: CallError.self, "\(index)") { try query(adjust) }
            #expect(error?.code == .invalidArgument)
        }
        #expect(throws: CallError.self) { try JobQuery(message: [10, 5, 1]) }
        // The bounds of valid times do not overflow.
        _ = try query {
            $0.filters.timeInterval.startTime = .init(Timestamp.earliest)
            $0.filters.timeInterval.endTime = .init(Timestamp.latest)
            $0.filters.timeInterval.endInclusive = true
        }
        #expect(try query { $0.sortDirection = .descending }.filters.count == 1)
    }
}
