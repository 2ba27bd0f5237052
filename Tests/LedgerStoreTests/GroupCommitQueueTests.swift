import Ledger
import LedgerTestSupport
import Testing

@testable import LedgerStore

@Suite("The queue of appends")
struct GroupCommitQueueTests {
    /// A queue that can be changed within an expectation.
    private final class Queue {
        private var queue: GroupCommitQueue

        init(limits: GroupCommitQueue.Limits = GroupCommitQueue.Limits()) { queue = GroupCommitQueue(limits: limits) }

        var pendingEvents: Int { queue.pendingEvents }
        var hasEnded: Bool { queue.hasEnded }

        func add(_ append: PendingAppend, now: ContinuousClock.Instant) -> GroupCommitQueue.Admission {
            queue.add(append, now: now)
        }
        func reserveWriter(now: ContinuousClock.Instant) -> Bool { queue.reserveWriter(now: now) }
        func takeGroup(now: ContinuousClock.Instant) -> (number: Int, appends: [PendingAppend])? {
            queue.takeGroup(now: now)
        }
        func finish(_ number: Int) { queue.finish(number) }
        func withdraw(arrivedBefore time: ContinuousClock.Instant) -> [PendingAppend] {
            queue.withdraw(arrivedBefore: time)
        }
        func appendsInFlight(arrivedBefore time: ContinuousClock.Instant) -> [PendingAppend] {
            queue.appendsInFlight(arrivedBefore: time)
        }
        func close(_ waiter: CheckedContinuation<Void, Never>) -> Bool { queue.close(waiter) }
        func takeCloseWaiters() -> [CheckedContinuation<Void, Never>] { queue.takeCloseWaiters() }
    }

    private static let start = ContinuousClock.now

    private static func job(_ number: Int) -> JobID { JobID(high: 1, low: UInt64(number)) }

    private static func append(
        _ jobs: [Int], events: Int = 1, arrivedAt: ContinuousClock.Instant = start
    ) -> PendingAppend {
        let draft = EventDraft(.executionStarted(ExecutionReference(task: "t", execution: "e")))
        let drafts = Array(repeating: draft, count: events)
        let request = AppendRequest(parts: jobs.map { AppendRequest.Part(job: job($0), drafts: drafts) })
        return PendingAppend(request, arrivedAt: arrivedAt) { _ in }
    }

    private static func jobs(_ appends: [PendingAppend]) -> [JobID] {
        appends.flatMap { $0.request.parts.map(\.job) }
    }

    private static func reserveWriter(_ admission: GroupCommitQueue.Admission) -> Bool {
        if case .startWriter = admission { true } else { false }
    }

    private static func isQueued(_ admission: GroupCommitQueue.Admission) -> Bool {
        if case .queued = admission { true } else { false }
    }

    @Test("appends that arrive while a group is in flight are the next group")
    func oneGroupAfterAnother() throws {
        let queue = Queue()
        #expect(Self.reserveWriter(queue.add(Self.append([1]), now: Self.start)))
        let first = try #require(queue.takeGroup(now: Self.start))
        for number in 2...4 { #expect(Self.isQueued(queue.add(Self.append([number]), now: Self.start))) }
        queue.finish(first.number)
        let second = try #require(queue.takeGroup(now: Self.start))
        #expect(Self.jobs(second.appends) == [2, 3, 4].map(Self.job))
        queue.finish(second.number)
        #expect(queue.takeGroup(now: Self.start) == nil)
        #expect(queue.pendingEvents == 0)
        #expect(Self.reserveWriter(queue.add(Self.append([5]), now: Self.start)), "the writer has ended")
    }

    @Test("a second writer starts when enough events of other jobs wait, and no third one does")
    func secondWriter() throws {
        let queue = Queue(limits: .init(fullGroupEvents: 10))
        _ = queue.add(Self.append([1]), now: Self.start)
        let first = try #require(queue.takeGroup(now: Self.start))
        for number in 2...10 { #expect(Self.isQueued(queue.add(Self.append([number]), now: Self.start))) }
        #expect(Self.isQueued(queue.add(Self.append([1], events: 50), now: Self.start)), "its job is in flight")
        #expect(Self.reserveWriter(queue.add(Self.append([11]), now: Self.start)))
        let second = try #require(queue.takeGroup(now: Self.start))
        #expect(Self.jobs(second.appends) == (2...11).map(Self.job))
        for number in 12...40 { #expect(Self.isQueued(queue.add(Self.append([number]), now: Self.start))) }
        queue.finish(first.number)
        let third = try #require(queue.takeGroup(now: Self.start))
        #expect(Self.jobs(third.appends) == ([1] + Array(12...40)).map(Self.job))
        queue.finish(second.number)
        #expect(queue.takeGroup(now: Self.start) == nil, "one writer is enough for what waits")
        queue.finish(third.number)
        #expect(queue.takeGroup(now: Self.start) == nil)
    }

    @Test("a second writer starts when a group has stalled, however few events wait")
    func stalledGroup() throws {
        let queue = Queue()
        _ = queue.add(Self.append([1]), now: Self.start)
        _ = try #require(queue.takeGroup(now: Self.start))
        let later = Self.start + .milliseconds(50)
        #expect(Self.isQueued(queue.add(Self.append([2]), now: later - .milliseconds(1))))
        #expect(Self.isQueued(queue.add(Self.append([1]), now: later - .milliseconds(1))))
        #expect(queue.reserveWriter(now: later))
        #expect(!queue.reserveWriter(now: later), "it was started")
        #expect(Self.jobs(try #require(queue.takeGroup(now: later)).appends) == [Self.job(2)])
    }

    @Test("an append with several jobs neither overtakes nor is overtaken")
    func severalJobs() throws {
        let queue = Queue(limits: .init(fullGroupEvents: 1))
        _ = queue.add(Self.append([1]), now: Self.start)
        let first = try #require(queue.takeGroup(now: Self.start))
        // Behind job 1, so job 2 must wait behind it, and job 3 behind that.
        _ = queue.add(Self.append([1, 2]), now: Self.start)
        _ = queue.add(Self.append([2, 3]), now: Self.start)
        _ = queue.add(Self.append([3]), now: Self.start)
        #expect(Self.reserveWriter(queue.add(Self.append([4]), now: Self.start)))
        let second = try #require(queue.takeGroup(now: Self.start))
        #expect(Self.jobs(second.appends) == [Self.job(4)])
        queue.finish(first.number)
        let third = try #require(queue.takeGroup(now: Self.start))
        #expect(Self.jobs(third.appends) == [1, 2, 2, 3, 3].map(Self.job))
    }

    /// A random history of arrivals and groups, for any number of writers.
    @Test("appends of a job are written in the order of arrival, and no job is in two groups", arguments: 1...20)
    func order(seed: Int) {
        var chance = SeededGenerator(seed: UInt64(seed))
        let queue = Queue(
            limits: .init(
                groupEventsMax: 8, groupsInFlightMax: Int.random(in: 1...4, using: &chance), fullGroupEvents: 3))
        var now = Self.start
        var idleWriters = 0
        var inFlight: [(number: Int, appends: [PendingAppend])] = []
        var arrived: [PendingAppend] = []
        var written: [PendingAppend] = []
        func write() {
            guard let group = queue.takeGroup(now: now) else { return idleWriters -= 1 }
            for other in inFlight {
                #expect(Set(Self.jobs(other.appends)).isDisjoint(with: Self.jobs(group.appends)))
            }
            #expect(group.appends.count == 1 || Self.jobs(group.appends).count <= 8)
            inFlight.append(group)
            written += group.appends
            idleWriters -= 1
        }
        for step in 1...600 {
            now += .milliseconds(Int.random(in: 0...20, using: &chance))
            switch Int.random(in: 0...3, using: &chance) {
            case 0...1 where step < 500:
                let jobs = Set(
                    (0...Int.random(in: 0...2, using: &chance)).map { _ in Int.random(in: 1...5, using: &chance) })
                let append = Self.append(jobs.sorted(), arrivedAt: now)
                arrived.append(append)
                if Self.reserveWriter(queue.add(append, now: now)) { idleWriters += 1 }
            case 2 where !inFlight.isEmpty:
                let group = inFlight.remove(at: Int.random(in: 0..<inFlight.count, using: &chance))
                queue.finish(group.number)
                idleWriters += 1
            default:
                if idleWriters > 0 { write() }
            }
        }
        while !inFlight.isEmpty || idleWriters > 0 {
            if idleWriters > 0 {
                write()
            } else {
                queue.finish(inFlight.removeFirst().number)
                idleWriters += 1
            }
        }
        #expect(queue.pendingEvents == 0)
        #expect(written.count == arrived.count)
        for number in 1...5 {
            func times(_ appends: [PendingAppend]) -> [ObjectIdentifier] {
                appends.filter { Self.jobs([$0]).contains(Self.job(number)) }.map { ObjectIdentifier($0) }
            }
            #expect(times(written) == times(arrived), "job \(number)")
        }
    }

    @Test("a group has as many events as allowed, and a larger append is a group by itself")
    func groupSize() throws {
        let queue = Queue(limits: .init(groupEventsMax: 10))
        for number in 1...3 { _ = queue.add(Self.append([number], events: 5), now: Self.start) }
        _ = queue.add(Self.append([4], events: 11), now: Self.start)
        _ = queue.add(Self.append([5]), now: Self.start)
        var groups: [[JobID]] = []
        while let group = queue.takeGroup(now: Self.start) {
            groups.append(Self.jobs(group.appends))
            queue.finish(group.number)
        }
        #expect(groups == [[1, 2], [3], [4], [5]].map { $0.map(Self.job) })
    }

    @Test("pending events and bytes are limited, and released however an append ends")
    func limits() throws {
        let queue = Queue(limits: .init(pendingEventsMax: 10))
        // Twice, so that what is not released the first time is missing the second time.
        for _ in 1...2 {
            _ = queue.add(Self.append([1], events: 9), now: Self.start)
            _ = queue.add(Self.append([2]), now: Self.start)
            guard case .overloaded(let pending) = queue.add(Self.append([3]), now: Self.start) else {
                Issue.record("accepted beyond the limit")
                return
            }
            #expect(pending == 10)
            let group = try #require(queue.takeGroup(now: Self.start))
            queue.finish(group.number)
            #expect(queue.takeGroup(now: Self.start) == nil)
            #expect(queue.pendingEvents == 0)
        }
        #expect(Self.reserveWriter(queue.add(Self.append([1], events: 11), now: Self.start)), "alone it is accepted")
        let small = Queue(limits: .init(pendingBytesMax: 500))
        _ = small.add(Self.append([1]), now: Self.start)
        _ = small.add(Self.append([2]), now: Self.start)
        guard case .overloaded = small.add(Self.append([3]), now: Self.start) else {
            Issue.record("accepted beyond the limit")
            return
        }
    }

    @Test("an append that has waited too long is withdrawn and never written")
    func withdrawn() throws {
        let queue = Queue()
        _ = queue.add(Self.append([1]), now: Self.start)
        let group = try #require(queue.takeGroup(now: Self.start))
        let early = Self.append([1], arrivedAt: Self.start)
        let late = Self.append([1], arrivedAt: Self.start + .seconds(1))
        _ = queue.add(early, now: Self.start)
        _ = queue.add(late, now: Self.start)
        #expect(queue.withdraw(arrivedBefore: Self.start).isEmpty)
        #expect(queue.withdraw(arrivedBefore: Self.start + .seconds(1)).map { $0 === early } == [true])
        #expect(queue.appendsInFlight(arrivedBefore: Self.start + .seconds(1)).count == 1)
        #expect(queue.pendingEvents == 2)
        queue.finish(group.number)
        #expect(try #require(queue.takeGroup(now: Self.start)).appends.map { $0 === late } == [true])
    }

    @Test("closing waits for everything that was accepted, and accepts no more")
    func closing() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let queue = Queue()
            _ = queue.add(Self.append([1]), now: Self.start)
            let group = queue.takeGroup(now: Self.start)
            _ = queue.add(Self.append([1]), now: Self.start)
            #expect(!queue.close(continuation))
            if case .closed = queue.add(Self.append([2]), now: Self.start) {} else { Issue.record("accepted") }
            queue.finish(group?.number ?? 0)
            #expect(queue.takeCloseWaiters().isEmpty && !queue.hasEnded)
            let last = queue.takeGroup(now: Self.start)
            #expect(last?.appends.count == 1)
            queue.finish(last?.number ?? 0)
            #expect(queue.takeGroup(now: Self.start) == nil)
            let waiters = queue.takeCloseWaiters()
            #expect(waiters.count == 1 && queue.hasEnded)
            continuation.resume()
        }
    }
}
