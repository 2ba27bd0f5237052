import Ledger
import Testing

@testable import LedgerStore

@Suite("What an appender decides of the appends that come in")
struct AppendLanesTests {
    /// The decisions, to be asked inside of expectations.
    private final class Lanes {
        private var lanes: AppendLanes

        init(count: Int, patience: Duration = .seconds(600)) {
            lanes = AppendLanes(count: count, patience: patience)
        }

        var pendingEvents: Int { lanes.pendingEvents }
        func add(_ append: PendingAppend, isKnown: Bool) -> AppendLanes.Admission {
            lanes.add(append, isKnown: isKnown)
        }
        func beginsLookingUp() -> Bool { lanes.beginsLookingUp() }
        func takeStrangers() -> [PendingAppend]? { lanes.takeStrangers() }
        func join(_ appends: [PendingAppend]) -> [Int] { lanes.join(appends) }
        func takeGroup(_ lane: Int) -> [PendingAppend]? { lanes.takeGroup(lane) }
        func written(_ group: [PendingAppend], _ lane: Int = 0) { lanes.written(group, lane) }
        func written(arrivedBefore moment: ContinuousClock.Instant) -> [PendingAppend] {
            lanes.written(arrivedBefore: moment)
        }
        func withdraw(arrivedBefore moment: ContinuousClock.Instant) -> [PendingAppend] {
            lanes.withdraw(arrivedBefore: moment)
        }
        func ended(_ appends: [PendingAppend]) { lanes.ended(appends) }
        func close(_ waiter: CheckedContinuation<Void, Never>) -> Bool { lanes.close(waiter) }
        func takeClosing() -> [CheckedContinuation<Void, Never>] { lanes.takeClosing() }
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

    private static func isQueued(_ admission: AppendLanes.Admission) -> Bool {
        if case .queued = admission { true } else { false }
    }

    private static func beginsLookingUp(_ admission: AppendLanes.Admission) -> Bool {
        if case .beginsLookingUp = admission { true } else { false }
    }

    private static func begunLane(_ admission: AppendLanes.Admission) -> Int? {
        if case .begins(let lane) = admission { lane } else { nil }
    }

    @Test("an append to an unknown job is in no group until it was looked up, and holds up none")
    func strangers() {
        let lanes = Lanes(count: 2)
        #expect(Self.beginsLookingUp(lanes.add(Self.append([1]), isKnown: false)))
        #expect(Self.begunLane(lanes.add(Self.append([2]), isKnown: true)) == 0)
        #expect(Self.isQueued(lanes.add(Self.append([3]), isKnown: false)))
        #expect(Self.jobs(lanes.takeGroup(0)) == [Self.job(2)])
        let strangers = lanes.takeStrangers()
        #expect(Self.jobs(strangers) == [Self.job(1), Self.job(3)])
        #expect(lanes.takeStrangers() == nil)
        // The lane runs already, so it comes to them by itself.
        #expect(lanes.join(strangers ?? []) == [])
        #expect(Self.jobs(lanes.takeGroup(0)) == [Self.job(1), Self.job(3)])
        #expect(lanes.takeGroup(0) == nil)
    }

    @Test("where no lane runs, those that were looked up start one")
    func joinIdle() {
        let lanes = Lanes(count: 2)
        _ = lanes.add(Self.append([1]), isKnown: false)
        _ = lanes.add(Self.append([2]), isKnown: false)
        let strangers = lanes.takeStrangers() ?? []
        #expect(lanes.join(strangers) == [0])
        #expect(Self.jobs(lanes.takeGroup(0)) == [Self.job(1), Self.job(2)])
    }

    @Test("while a large group is being written, a few wait for more, but no longer than for its end")
    func waitForMore() {
        let lanes = Lanes(count: 1)
        for number in 1...40 { _ = lanes.add(Self.append([number]), isKnown: true) }
        let group = lanes.takeGroup(0) ?? []
        for number in 41...49 {
            #expect(Self.isQueued(lanes.add(Self.append([number]), isKnown: false)), "\(number)")
        }
        #expect(Self.beginsLookingUp(lanes.add(Self.append([50]), isKnown: false)), "a quarter of what is written")
        #expect(lanes.takeStrangers()?.count == 10)
        #expect(Self.isQueued(lanes.add(Self.append([51]), isKnown: false)))
        #expect(lanes.takeStrangers() == nil)
        #expect(!lanes.beginsLookingUp())
        lanes.written(group)
        #expect(lanes.beginsLookingUp())
        #expect(!lanes.beginsLookingUp(), "it is done already")
        #expect(lanes.takeStrangers()?.count == 1)
    }

    @Test("the end of any group is enough, however much its lane writes next and the other one is writing")
    func waitForAny() {
        let lanes = Lanes(count: 2)
        let each = Appender.busyLaneEvents + 20
        for number in 1...2 * each { _ = lanes.add(Self.append([number]), isKnown: true) }
        let groups = [lanes.takeGroup(0) ?? [], lanes.takeGroup(1) ?? []]
        #expect(groups.map(\.count) == [each, each])
        for number in 1...2 * each { _ = lanes.add(Self.append([number]), isKnown: true) }
        #expect(Self.isQueued(lanes.add(Self.append([1_000]), isKnown: false)))
        for lane in 0...1 {
            lanes.written(groups[lane], lane)
            #expect(lanes.beginsLookingUp())
            // The lane goes on before anybody comes to look.
            #expect(lanes.takeGroup(lane)?.count == each)
            #expect(lanes.takeStrangers()?.count == 1)
            #expect(Self.isQueued(lanes.add(Self.append([1_001 + lane]), isKnown: false)))
            #expect(lanes.takeStrangers() == nil, "no group has ended since")
        }
    }

    @Test("a lane that takes long to write holds up none that are for another lane")
    func otherLane() {
        let lanes = Lanes(count: 2)
        let busy = Appender.busyLaneEvents
        for number in 1...busy { _ = lanes.add(Self.append([number]), isKnown: true) }
        #expect(lanes.takeGroup(0)?.count == busy)
        #expect(Self.beginsLookingUp(lanes.add(Self.append([busy + 1]), isKnown: false)))
        let strangers = lanes.takeStrangers() ?? []
        #expect(lanes.join(strangers) == [1])
    }

    @Test("a lane whose group takes too long is left alone by those that come, however few wait")
    func slowLane() {
        let lanes = Lanes(count: 2, patience: .zero)
        _ = lanes.add(Self.append([1]), isKnown: true)
        #expect(Self.isQueued(lanes.add(Self.append([2]), isKnown: true)), "nothing is being written")
        let group = lanes.takeGroup(0) ?? []
        #expect(Self.begunLane(lanes.add(Self.append([3]), isKnown: true)) == 1)
        #expect(Self.isQueued(lanes.add(Self.append([1]), isKnown: true)), "behind what is written of its job")
        lanes.written(group)
        #expect(Self.isQueued(lanes.add(Self.append([4]), isKnown: true)))
        #expect(Self.jobs(lanes.takeGroup(0)) == [Self.job(1), Self.job(4)])
    }

    @Test("those that were looked up go before those that have come since")
    func order() {
        let lanes = Lanes(count: 1)
        for number in 1...2 { _ = lanes.add(Self.append([number]), isKnown: false) }
        let strangers = lanes.takeStrangers() ?? []
        for number in 1...3 { _ = lanes.add(Self.append([number]), isKnown: true) }
        #expect(lanes.join(strangers) == [])
        #expect(Self.jobs(lanes.takeGroup(0)) == [1, 2, 1, 2, 3].map(Self.job))
    }

    @Test("no more are looked up at once than are written at once")
    func lookedUpAtOnce() {
        let lanes = Lanes(count: 1)
        let half = Appender.groupEventsMax / 2
        for number in 1...3 { _ = lanes.add(Self.append([number], events: half), isKnown: false) }
        _ = lanes.add(Self.append([4], events: Appender.groupEventsMax + 1), isKnown: false)
        #expect(Self.jobs(lanes.takeStrangers()) == [Self.job(1), Self.job(2)])
        #expect(Self.jobs(lanes.takeStrangers()) == [Self.job(3)])
        #expect(Self.jobs(lanes.takeStrangers()) == [Self.job(4)])
        #expect(lanes.takeStrangers() == nil)
    }

    @Test("appends of a job take one lane, looked up or not, while any of them waits")
    func oneLane() {
        let lanes = Lanes(count: 2)
        _ = lanes.add(Self.append([1]), isKnown: false)
        // So much that others take the other lane.
        #expect(Self.begunLane(lanes.add(Self.append([2], events: Appender.busyLaneEvents), isKnown: true)) == 0)
        #expect(Self.begunLane(lanes.add(Self.append([3]), isKnown: true)) == 1)
        #expect(Self.isQueued(lanes.add(Self.append([1]), isKnown: true)), "the lane that the first of them is for")
        let strangers = lanes.takeStrangers() ?? []
        #expect(lanes.join(strangers) == [])
        #expect(Self.jobs(lanes.takeGroup(0)) == [Self.job(1), Self.job(2), Self.job(1)])
        #expect(Self.jobs(lanes.takeGroup(1)) == [Self.job(3)])
    }

    @Test("what waits to be looked up counts as waiting, and is given back however it ends")
    func limits() throws {
        let lanes = Lanes(count: 2)
        // Twice, so that what was not given back the first time is missing the second time.
        for _ in 1...2 {
            _ = lanes.add(Self.append([1], events: Appender.pendingEventsMax - 1), isKnown: false)
            _ = lanes.add(Self.append([2]), isKnown: true)
            guard case .overloaded(let waiting) = lanes.add(Self.append([3]), isKnown: true) else {
                Issue.record("taken beyond the limit")
                return
            }
            #expect(waiting == Appender.pendingEventsMax)
            let strangers = lanes.takeStrangers()
            lanes.ended(try #require(strangers))
            #expect(lanes.takeStrangers() == nil)
            #expect(lanes.pendingEvents == 1)
            let group = lanes.takeGroup(1)
            lanes.written(try #require(group), 1)
            #expect(lanes.takeGroup(1) == nil)
            #expect(lanes.pendingEvents == 0)
            // The first lane is free again as well.
            #expect(Self.begunLane(lanes.add(Self.append([4]), isKnown: true)) == 0)
            lanes.written(lanes.takeGroup(0) ?? [])
            #expect(lanes.takeGroup(0) == nil)
        }
        // Bytes are what fills first where texts are long.
        let text = Name(String(repeating: "x", count: 200))
        let draft = EventDraft(.executionStarted(ExecutionReference(task: text, execution: text)))
        let long = AppendRequest(
            parts: [AppendRequest.Part(job: Self.job(5), drafts: Array(repeating: draft, count: 120_000))])
        for _ in 1...2 {
            _ = lanes.add(PendingAppend(long, arrivedAt: .now) { _ in }, isKnown: false)
            guard case .overloaded = lanes.add(Self.append([6]), isKnown: true) else {
                Issue.record("taken beyond the limit")
                return
            }
            lanes.ended(lanes.takeStrangers() ?? [])
            #expect(lanes.takeStrangers() == nil)
        }
    }

    @Test("an append that has waited for too long is taken out wherever it waits, and is never written")
    func withdrawn() {
        let lanes = Lanes(count: 1)
        let (written, queued, stranger) = (Self.append([1]), Self.append([2]), Self.append([3]))
        _ = lanes.add(written, isKnown: true)
        _ = lanes.takeGroup(0)
        _ = lanes.add(queued, isKnown: true)
        _ = lanes.add(stranger, isKnown: false)
        #expect(lanes.withdraw(arrivedBefore: written.arrivedAt).isEmpty)
        let lookedUp = lanes.takeStrangers() ?? []
        let late = Self.append([4])
        _ = lanes.add(late, isKnown: false)
        let overdue = lanes.withdraw(arrivedBefore: .now + .seconds(1))
        #expect(Self.jobs(overdue) == Self.jobs([queued, late, stranger]))
        #expect(overdue.filter(\.isWithdrawn).count == 3)
        #expect(lanes.written(arrivedBefore: .now + .seconds(1)).map(\.request.parts[0].job) == [Self.job(1)])
        #expect(lanes.pendingEvents == 1, "only what is being written takes up room")
        #expect(lanes.join(lookedUp).isEmpty)
        lanes.written([written])
        #expect(lanes.takeGroup(0) == nil, "nothing else is to be written")
        #expect(lanes.pendingEvents == 0)
        #expect(lanes.takeStrangers() == nil)
    }

    @Test("closing waits for those that are to be looked up, and takes no more")
    func closing() async {
        await withCheckedContinuation { continuation in
            let lanes = Lanes(count: 1)
            for number in 1...8 { _ = lanes.add(Self.append([number]), isKnown: true) }
            let group = lanes.takeGroup(0) ?? []
            #expect(Self.isQueued(lanes.add(Self.append([9]), isKnown: false)), "not worth a query yet")
            #expect(!lanes.close(continuation))
            if case .closed = lanes.add(Self.append([10]), isKnown: false) {} else { Issue.record("taken") }
            lanes.written(group)
            #expect(lanes.beginsLookingUp())
            #expect(lanes.takeGroup(0) == nil)
            #expect(lanes.takeClosing().isEmpty, "heads are being looked up")
            let strangers = lanes.takeStrangers() ?? []
            #expect(lanes.join(strangers) == [0])
            #expect(lanes.takeStrangers() == nil)
            #expect(lanes.takeClosing().isEmpty, "one is being written")
            lanes.written(lanes.takeGroup(0) ?? [])
            #expect(lanes.takeGroup(0) == nil)
            let closing = lanes.takeClosing()
            #expect(closing.count == 1)
            if closing.isEmpty { continuation.resume() }
            for waiter in closing { waiter.resume() }
        }
    }
}
