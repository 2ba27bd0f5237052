import Ledger
import Testing

@testable import LedgerStore

@Suite("What an appender decides of the appends that come in")
struct AppendQueuesTests {
    /// The decisions, to be asked inside of expectations.
    private final class Queues {
        private var queues: AppendQueues

        init(count: Int, stallTimeout: Duration = .seconds(600)) {
            queues = AppendQueues(count: count, stallTimeout: stallTimeout)
        }

        var pendingEvents: Int { queues.pendingEvents }
        func add(_ append: PendingAppend, isKnown: Bool) -> AppendQueues.Admission {
            queues.add(append, isKnown: isKnown)
        }
        func beginsLookingUp() -> Bool { queues.beginsLookingUp() }
        func takeAppendsWithUnknownHead() -> [PendingAppend]? { queues.takeAppendsWithUnknownHead() }
        func requeue(_ appends: [PendingAppend]) -> [Int] { queues.requeue(appends) }
        func takeGroup(_ queue: Int) -> [PendingAppend]? { queues.takeGroup(queue) }
        func written(_ group: [PendingAppend], _ queue: Int = 0) { queues.written(group, queue) }
        func written(arrivedBefore moment: ContinuousClock.Instant) -> [PendingAppend] {
            queues.written(arrivedBefore: moment)
        }
        func withdraw(arrivedBefore moment: ContinuousClock.Instant) -> [PendingAppend] {
            queues.withdraw(arrivedBefore: moment)
        }
        func ended(_ appends: [PendingAppend]) { queues.ended(appends) }
        func close(_ waiter: CheckedContinuation<Void, Never>) -> Bool { queues.close(waiter) }
        func takeCloseWaiters() -> [CheckedContinuation<Void, Never>] { queues.takeCloseWaiters() }
    }

    private static func job(_ number: Int) -> JobID { JobID(high: 1, low: UInt64(number)) }

    private static func append(_ jobs: [Int], events: Int = 1) -> PendingAppend {
        let draft = EventDraft(.executionStarted(ExecutionReference(task: "t", execution: "e")))
        let drafts = Array(repeating: draft, count: events)
        let request = AppendRequest(parts: jobs.map { AppendRequest.Part(job: job($0), drafts: drafts) })
        return PendingAppend(request, arrivedAt: .now) { _ in }
    }

    private static func jobs(_ appends: [PendingAppend]?) -> [JobID]? {
        appends?.flatMap { $0.request.parts.map(\.job) }
    }

    private static func isQueued(_ admission: AppendQueues.Admission) -> Bool {
        if case .queued = admission { true } else { false }
    }

    private static func beginsLookingUp(_ admission: AppendQueues.Admission) -> Bool {
        if case .beginsLookingUp = admission { true } else { false }
    }

    private static func begunLane(_ admission: AppendQueues.Admission) -> Int? {
        if case .begins(let queue) = admission { queue } else { nil }
    }

    @Test("an append to an unknown job is in no group until it was looked up, and holds up none")
    func appendsWithUnknownHead() {
        let queues = Queues(count: 2)
        #expect(Self.beginsLookingUp(queues.add(Self.append([1]), isKnown: false)))
        #expect(Self.begunLane(queues.add(Self.append([2]), isKnown: true)) == 0)
        #expect(Self.isQueued(queues.add(Self.append([3]), isKnown: false)))
        #expect(Self.jobs(queues.takeGroup(0)) == [Self.job(2)])
        let appendsWithUnknownHead = queues.takeAppendsWithUnknownHead()
        #expect(Self.jobs(appendsWithUnknownHead) == [Self.job(1), Self.job(3)])
        #expect(queues.takeAppendsWithUnknownHead() == nil)
        // The queue runs already, so it comes to them by itself.
        #expect(queues.requeue(appendsWithUnknownHead ?? []) == [])
        #expect(Self.jobs(queues.takeGroup(0)) == [Self.job(1), Self.job(3)])
        #expect(queues.takeGroup(0) == nil)
    }

    @Test("where no lane runs, those that were looked up start one")
    func joinIdle() {
        let queues = Queues(count: 2)
        _ = queues.add(Self.append([1]), isKnown: false)
        _ = queues.add(Self.append([2]), isKnown: false)
        let appendsWithUnknownHead = queues.takeAppendsWithUnknownHead() ?? []
        #expect(queues.requeue(appendsWithUnknownHead) == [0])
        #expect(Self.jobs(queues.takeGroup(0)) == [Self.job(1), Self.job(2)])
    }

    @Test("while a large group is being written, a few wait for more, but no longer than for its end")
    func waitForMore() {
        let queues = Queues(count: 1)
        for number in 1...40 { _ = queues.add(Self.append([number]), isKnown: true) }
        let group = queues.takeGroup(0) ?? []
        for number in 41...49 {
            #expect(Self.isQueued(queues.add(Self.append([number]), isKnown: false)), "\(number)")
        }
        #expect(Self.beginsLookingUp(queues.add(Self.append([50]), isKnown: false)), "a quarter of what is written")
        #expect(queues.takeAppendsWithUnknownHead()?.count == 10)
        #expect(Self.isQueued(queues.add(Self.append([51]), isKnown: false)))
        #expect(queues.takeAppendsWithUnknownHead() == nil)
        #expect(!queues.beginsLookingUp())
        queues.written(group)
        #expect(queues.beginsLookingUp())
        #expect(!queues.beginsLookingUp(), "it is done already")
        #expect(queues.takeAppendsWithUnknownHead()?.count == 1)
    }

    @Test("the end of any group is enough, however much its lane writes next and the other one is writing")
    func waitForAny() {
        let queues = Queues(count: 2)
        let each = Appender.fullQueueEvents + 20
        for number in 1...2 * each { _ = queues.add(Self.append([number]), isKnown: true) }
        let groups = [queues.takeGroup(0) ?? [], queues.takeGroup(1) ?? []]
        #expect(groups.map(\.count) == [each, each])
        for number in 1...2 * each { _ = queues.add(Self.append([number]), isKnown: true) }
        #expect(Self.isQueued(queues.add(Self.append([1_000]), isKnown: false)))
        for queue in 0...1 {
            queues.written(groups[queue], queue)
            #expect(queues.beginsLookingUp())
            // The queue goes on before anybody comes to look.
            #expect(queues.takeGroup(queue)?.count == each)
            #expect(queues.takeAppendsWithUnknownHead()?.count == 1)
            #expect(Self.isQueued(queues.add(Self.append([1_001 + queue]), isKnown: false)))
            #expect(queues.takeAppendsWithUnknownHead() == nil, "no group has ended since")
        }
    }

    @Test("a lane that takes long to write holds up none that are for another lane")
    func otherLane() {
        let queues = Queues(count: 2)
        let busy = Appender.fullQueueEvents
        for number in 1...busy { _ = queues.add(Self.append([number]), isKnown: true) }
        #expect(queues.takeGroup(0)?.count == busy)
        #expect(Self.beginsLookingUp(queues.add(Self.append([busy + 1]), isKnown: false)))
        let appendsWithUnknownHead = queues.takeAppendsWithUnknownHead() ?? []
        #expect(queues.requeue(appendsWithUnknownHead) == [1])
    }

    @Test("a lane whose group takes too long is left alone by those that come, however few wait")
    func slowLane() {
        let queues = Queues(count: 2, stallTimeout: .zero)
        _ = queues.add(Self.append([1]), isKnown: true)
        #expect(Self.isQueued(queues.add(Self.append([2]), isKnown: true)), "nothing is being written")
        let group = queues.takeGroup(0) ?? []
        #expect(Self.begunLane(queues.add(Self.append([3]), isKnown: true)) == 1)
        #expect(Self.isQueued(queues.add(Self.append([1]), isKnown: true)), "behind what is written of its job")
        queues.written(group)
        #expect(Self.isQueued(queues.add(Self.append([4]), isKnown: true)))
        #expect(Self.jobs(queues.takeGroup(0)) == [Self.job(1), Self.job(4)])
    }

    @Test("those that were looked up go before those that have come since")
    func order() {
        let queues = Queues(count: 1)
        for number in 1...2 { _ = queues.add(Self.append([number]), isKnown: false) }
        let appendsWithUnknownHead = queues.takeAppendsWithUnknownHead() ?? []
        for number in 1...3 { _ = queues.add(Self.append([number]), isKnown: true) }
        #expect(queues.requeue(appendsWithUnknownHead) == [])
        #expect(Self.jobs(queues.takeGroup(0)) == [1, 2, 1, 2, 3].map(Self.job))
    }

    @Test("no more are looked up at once than are written at once")
    func lookedUpAtOnce() {
        let queues = Queues(count: 1)
        let half = Appender.batchEventsMax / 2
        for number in 1...3 { _ = queues.add(Self.append([number], events: half), isKnown: false) }
        _ = queues.add(Self.append([4], events: Appender.batchEventsMax + 1), isKnown: false)
        #expect(Self.jobs(queues.takeAppendsWithUnknownHead()) == [Self.job(1), Self.job(2)])
        #expect(Self.jobs(queues.takeAppendsWithUnknownHead()) == [Self.job(3)])
        #expect(Self.jobs(queues.takeAppendsWithUnknownHead()) == [Self.job(4)])
        #expect(queues.takeAppendsWithUnknownHead() == nil)
    }

    @Test("appends of a job take one lane, looked up or not, while any of them waits")
    func oneLane() {
        let queues = Queues(count: 2)
        _ = queues.add(Self.append([1]), isKnown: false)
        // So much that others take the other queue.
        #expect(Self.begunLane(queues.add(Self.append([2], events: Appender.fullQueueEvents), isKnown: true)) == 0)
        #expect(Self.begunLane(queues.add(Self.append([3]), isKnown: true)) == 1)
        #expect(Self.isQueued(queues.add(Self.append([1]), isKnown: true)), "the lane that the first of them is for")
        let appendsWithUnknownHead = queues.takeAppendsWithUnknownHead() ?? []
        #expect(queues.requeue(appendsWithUnknownHead) == [])
        #expect(Self.jobs(queues.takeGroup(0)) == [Self.job(1), Self.job(2), Self.job(1)])
        #expect(Self.jobs(queues.takeGroup(1)) == [Self.job(3)])
    }

    @Test("what waits to be looked up counts as waiting, and is given back however it ends")
    func limits() throws {
        let queues = Queues(count: 2)
        // Twice, so that what was not given back the first time is missing the second time.
        for _ in 1...2 {
            _ = queues.add(Self.append([1], events: Appender.pendingEventsMax - 1), isKnown: false)
            _ = queues.add(Self.append([2]), isKnown: true)
            guard case .overloaded(let waiting) = queues.add(Self.append([3]), isKnown: true) else {
                Issue.record("taken beyond the limit")
                return
            }
            #expect(waiting == Appender.pendingEventsMax)
            let appendsWithUnknownHead = queues.takeAppendsWithUnknownHead()
            queues.ended(try #require(appendsWithUnknownHead))
            #expect(queues.takeAppendsWithUnknownHead() == nil)
            #expect(queues.pendingEvents == 1)
            let group = queues.takeGroup(1)
            queues.written(try #require(group), 1)
            #expect(queues.takeGroup(1) == nil)
            #expect(queues.pendingEvents == 0)
            // The first queue is free again as well.
            #expect(Self.begunLane(queues.add(Self.append([4]), isKnown: true)) == 0)
            queues.written(queues.takeGroup(0) ?? [])
            #expect(queues.takeGroup(0) == nil)
        }
        // Bytes are what fills first where texts are long.
        let text = Name(String(repeating: "x", count: 200))
        let draft = EventDraft(.executionStarted(ExecutionReference(task: text, execution: text)))
        let long = AppendRequest(
            parts: [AppendRequest.Part(job: Self.job(5), drafts: Array(repeating: draft, count: 120_000))])
        for _ in 1...2 {
            _ = queues.add(PendingAppend(long, arrivedAt: .now) { _ in }, isKnown: false)
            guard case .overloaded = queues.add(Self.append([6]), isKnown: true) else {
                Issue.record("taken beyond the limit")
                return
            }
            queues.ended(queues.takeAppendsWithUnknownHead() ?? [])
            #expect(queues.takeAppendsWithUnknownHead() == nil)
        }
    }

    @Test("an append that has waited for too long is taken out wherever it waits, and is never written")
    func withdrawn() {
        let queues = Queues(count: 1)
        let (written, queued, stranger) = (Self.append([1]), Self.append([2]), Self.append([3]))
        _ = queues.add(written, isKnown: true)
        _ = queues.takeGroup(0)
        _ = queues.add(queued, isKnown: true)
        _ = queues.add(stranger, isKnown: false)
        #expect(queues.withdraw(arrivedBefore: written.arrivedAt).isEmpty)
        let lookedUp = queues.takeAppendsWithUnknownHead() ?? []
        let late = Self.append([4])
        _ = queues.add(late, isKnown: false)
        let overdue = queues.withdraw(arrivedBefore: .now + .seconds(1))
        #expect(Self.jobs(overdue) == Self.jobs([queued, late, stranger]))
        #expect(overdue.filter(\.isWithdrawn).count == 3)
        #expect(queues.written(arrivedBefore: .now + .seconds(1)).map(\.request.parts[0].job) == [Self.job(1)])
        #expect(queues.pendingEvents == 1, "only what is being written takes up room")
        #expect(queues.requeue(lookedUp).isEmpty)
        queues.written([written])
        #expect(queues.takeGroup(0) == nil, "nothing else is to be written")
        #expect(queues.pendingEvents == 0)
        #expect(queues.takeAppendsWithUnknownHead() == nil)
    }

    @Test("closing waits for those that are to be looked up, and takes no more")
    func closing() async {
        await withCheckedContinuation { continuation in
            let queues = Queues(count: 1)
            for number in 1...8 { _ = queues.add(Self.append([number]), isKnown: true) }
            let group = queues.takeGroup(0) ?? []
            #expect(Self.isQueued(queues.add(Self.append([9]), isKnown: false)), "not worth a query yet")
            #expect(!queues.close(continuation))
            if case .closed = queues.add(Self.append([10]), isKnown: false) {} else { Issue.record("taken") }
            queues.written(group)
            #expect(queues.beginsLookingUp())
            #expect(queues.takeGroup(0) == nil)
            #expect(queues.takeCloseWaiters().isEmpty, "heads are being looked up")
            let appendsWithUnknownHead = queues.takeAppendsWithUnknownHead() ?? []
            #expect(queues.requeue(appendsWithUnknownHead) == [0])
            #expect(queues.takeAppendsWithUnknownHead() == nil)
            #expect(queues.takeCloseWaiters().isEmpty, "one is being written")
            queues.written(queues.takeGroup(0) ?? [])
            #expect(queues.takeGroup(0) == nil)
            let closing = queues.takeCloseWaiters()
            #expect(closing.count == 1)
            if closing.isEmpty { continuation.resume() }
            for waiter in closing { waiter.resume() }
        }
    }
}
