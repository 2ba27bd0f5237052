import Ledger
import LedgerStore
import Testing

@Suite("The queue of the projection")
struct ProjectionQueueTests {
    private static func job(_ number: UInt64) -> JobID { JobID(high: 0x0190_0000_0000_7000, low: number) }

    private static func numbers(_ work: ProjectionQueue.Work) -> [UInt64] {
        guard case .jobs(let jobs) = work else { return [] }
        return jobs.map(\.low)
    }

    @Test("jobs are returned in the order in which they were first named")
    func order() async {
        let queue = ProjectionQueue()
        queue.enqueue((1...5).map { Self.job($0) })
        #expect(Self.numbers(await queue.next(limit: 2)) == [1, 2])
        queue.enqueue([5, 1, 4, 2, 1].map { Self.job($0) })
        #expect(queue.pendingJobCount == 5)
        #expect(Self.numbers(await queue.next(limit: 3)) == [3, 4, 5])
        #expect(Self.numbers(await queue.next(limit: 3)) == [1, 2])
        #expect(queue.pendingJobCount == 0)
    }

    @Test("jobs come before a sweep, but only one batch of them")
    func sweeps() async {
        let queue = ProjectionQueue()
        queue.requestSweep()
        queue.enqueue((1...9).map { Self.job($0) })
        #expect(Self.numbers(await queue.next(limit: 3)) == [1, 2, 3])
        guard case .sweep = await queue.next(limit: 3) else {
            Issue.record("expected a sweep")
            return
        }
        #expect(Self.numbers(await queue.next(limit: 3)) == [4, 5, 6])
        #expect(Self.numbers(await queue.next(limit: 3)) == [7, 8, 9])
    }

    @Test("jobs come before a sweep, and the end before both")
    func precedence() async {
        let queue = ProjectionQueue()
        queue.requestSweep()
        queue.enqueue([Self.job(1)])
        #expect(Self.numbers(await queue.next(limit: 10)) == [1])
        guard case .sweep = await queue.next(limit: 10) else {
            Issue.record("expected a sweep")
            return
        }
        queue.enqueue([Self.job(2)])
        queue.close()
        guard case .closed = await queue.next(limit: 10) else {
            Issue.record("expected the end")
            return
        }
    }
}
