import Ledger
import LedgerWire
import Testing

@testable import ProgressLedgerClient

/// Tests of the report batcher, with a clock that the tests move.
@Suite("Report batcher")
struct ReportBatcherTests {
    private static let reference = ExecutionReference(task: "t", execution: "e", attempt: 1)

    /// Returns a batcher of an execution with a recorded start.
    private static func started(at now: ContinuousClock.Instant) throws -> ReportBatcher {
        var batcher = ReportBatcher(reference)
        #expect(try sent(batcher.next(now: now)).map(\.body) == [.executionStarted(reference)])
        batcher.delivered(try appended(2...2, [.counted]), now: now)
        return batcher
    }

    private static func slot(_ label: Name?, in batcher: inout ReportBatcher) throws -> Int {
        let slot = batcher.slot(of: label)
        return try #require(slot)
    }

    private static func appended(_ sequences: ClosedRange<EventSequence>, _ verdicts: [Verdict]? = nil) throws
        -> Appended
    {
        let list = verdicts.map { ",\"verdicts\":[\($0.map { "\"\($0.rawValue)\"" }.joined(separator: ","))]" } ?? ""
        let json =
            "{\"first_sequence\":\(sequences.lowerBound),\"last_sequence\":\(sequences.upperBound)\(list)}"
        return try Appended(try JSONReader.read(Array(json.utf8)))
    }

    private static func sent(_ step: ReportBatcher.Step) throws -> [EventDraft] {
        guard case .send(let events, _) = step else {
            Issue.record("nothing is sent: \(step)")
            return []
        }
        return events
    }

    private static func wait(_ step: ReportBatcher.Step) -> ContinuousClock.Instant? {
        guard case .wait(let moment) = step else { return nil }
        return moment
    }

    private static func units(_ draft: EventDraft) -> [Int64?] {
        guard case .progress(let progress) = draft.body else { return [] }
        return [progress.report, progress.total, progress.done]
    }

    private static func error(_ code: LedgerClientError.Code, retryAfter: Duration? = nil) -> LedgerClientError {
        LedgerClientError(code, "no", retryAfter: retryAfter)
    }

    /// The permanent refusal of a batch.
    private static let refusal = LedgerClientError(.invalid, "no", status: 422, isProblem: true)

    @Test("the start is sent at once; increments wait a second and are added up by label")
    func addsUp() throws {
        let now = ContinuousClock.now
        var batcher = try Self.started(at: now)
        let download = try Self.slot("download", in: &batcher)
        let unlabeled = try Self.slot(nil, in: &batcher)
        let second = try Self.slot("download", in: &batcher)
        #expect(second == download)
        let wakesSender = [
            batcher.accept(download, total: 10, done: 0) { now },
            batcher.accept(download, total: 0, done: 1) { now + .milliseconds(900) },
            batcher.accept(unlabeled, total: 0, done: 0) { now + .milliseconds(900) },
        ]
        #expect(wakesSender == [true, false, false])
        let before = batcher.next(now: now + .milliseconds(999))
        #expect(Self.wait(before) == now + .seconds(1))
        let events = try Self.sent(batcher.next(now: now + .seconds(1)))
        #expect(events.map(Self.units) == [[1, 10, 1], [2, nil, nil]])
        batcher.delivered(try Self.appended(3...4), now: now + .seconds(1))
        #expect(batcher.isEmpty)
        #expect(batcher.statistics.taken == 3 && batcher.statistics.delivered == 3)
    }

    @Test("a batch is repeated unchanged until it has a response; later reports follow it")
    func repeats() throws {
        var now = ContinuousClock.now
        var batcher = try Self.started(at: now)
        let slot = try Self.slot(nil, in: &batcher)
        _ = batcher.accept(slot, total: 0, done: 1) { now }
        _ = batcher.flush()
        let first = try Self.sent(batcher.next(now: now))
        for number in 1...20 {
            batcher.failed(Self.error(.outcomeUnknown), now: now, chance: 1)
            _ = batcher.accept(slot, total: 0, done: 1) { now }
            let moment = try #require(Self.wait(batcher.next(now: now)))
            let pause = now.duration(to: moment)
            #expect(pause == min(.milliseconds(200) * (1 << min(number - 1, 10)), .seconds(30)))
            now = moment
            do {
                let step = batcher.next(now: now)
                #expect(try Self.sent(step) == first)
            }
        }
        batcher.delivered(try Self.appended(3...3), now: now)
        do {
            let step = batcher.next(now: now + .seconds(1))
            #expect(try Self.sent(step).map(Self.units) == [[2, nil, 20]])
        }
        #expect(batcher.statistics.failures == 20)
    }

    @Test("pauses are random, and last at least as long as the ledger asks for")
    func pauses() throws {
        let now = ContinuousClock.now
        var batcher = ReportBatcher(Self.reference)
        _ = batcher.next(now: now)
        batcher.failed(Self.error(.unavailable), now: now, chance: 0)
        do {
            let step = batcher.next(now: now)
            #expect(Self.wait(step) == now + .milliseconds(100))
        }
        batcher.failed(Self.error(.unavailable, retryAfter: .seconds(7)), now: now, chance: 0)
        do {
            let step = batcher.next(now: now)
            #expect(Self.wait(step) == now + .seconds(7))
        }
    }

    @Test("a sum above the limit of an increment is split into several without loss")
    func splits() throws {
        let now = ContinuousClock.now
        var batcher = try Self.started(at: now)
        let slot = try Self.slot("l", in: &batcher)
        let most = Limits.increments.upperBound
        for _ in 0..<3 { _ = batcher.accept(slot, total: most, done: 0) { now } }
        _ = batcher.accept(slot, total: 5, done: 7) { now }
        batcher.end(.succeeded, now: now)
        var found: [[Int64?]] = []
        var last: EventDraft?
        while !batcher.isEmpty {
            let events = try Self.sent(batcher.next(now: now + .seconds(5)))
            found += events.map(Self.units).filter { !$0.isEmpty }
            last = events.last
            batcher.delivered(try Self.appended(3...3), now: now)
        }
        #expect(found == [[1, most, 7], [2, most, nil], [3, most, nil], [4, 5, nil]])
        #expect(last?.body == .executionFinished(Self.reference, .succeeded))
        guard case .stop = batcher.next(now: now) else { return #expect(Bool(false), "the batcher does not stop") }
    }

    @Test("an execution that ends before its start is sent sends everything at once, in order")
    func endsEarly() throws {
        let now = ContinuousClock.now
        var batcher = ReportBatcher(Self.reference)
        let slot = try Self.slot(nil, in: &batcher)
        _ = batcher.accept(slot, total: 1, done: 1) { now }
        batcher.end(.failed, now: now)
        batcher.end(.succeeded, now: now)
        let bodies = try Self.sent(batcher.next(now: now)).map(\.body)
        #expect(bodies.first == .executionStarted(Self.reference))
        #expect(bodies.last == .executionFinished(Self.reference, .failed))
        #expect(bodies.count == 3)
    }

    @Test("a flush waits for earlier reports and not for later ones")
    func flushes() throws {
        let now = ContinuousClock.now
        var batcher = ReportBatcher(Self.reference)
        let slot = try Self.slot(nil, in: &batcher)
        let start = batcher.flush()
        _ = try Self.sent(batcher.next(now: now))
        _ = batcher.accept(slot, total: 0, done: 1) { now }
        let first = batcher.flush()
        _ = batcher.accept(slot, total: 0, done: 2) { now }
        let goals = [batcher.isSettled(start), batcher.isSettled(first)]
        #expect(goals == [false, false])
        batcher.delivered(try Self.appended(2...2), now: now)
        #expect(batcher.isSettled(start) && !batcher.isSettled(first))
        do {
            // The flush makes everything due at once, including later reports.
            let step = batcher.next(now: now)
            #expect(try Self.sent(step).map(Self.units) == [[1, nil, 3]])
        }
        let inProgress = batcher.flush()
        _ = batcher.accept(slot, total: 0, done: 4) { now }
        #expect(inProgress == first && !batcher.isSettled(first))
        batcher.delivered(try Self.appended(3...3), now: now)
        #expect(batcher.isSettled(first) && !batcher.isEmpty)
        do {
            // Later reports wait as usual.
            let step = batcher.next(now: now)
            #expect(Self.wait(step) == now + ReportBatcher.delayMax)
        }
    }

    @Test("a flush of a split sum waits for its last part, and not for refused parts")
    func flushesAll() throws {
        let now = ContinuousClock.now
        var batcher = try Self.started(at: now)
        let slot = try Self.slot(nil, in: &batcher)
        for _ in 0..<2 { _ = batcher.accept(slot, total: Limits.increments.upperBound, done: 0) { now } }
        let generation = batcher.flush()
        _ = try Self.sent(batcher.next(now: now))
        let result = batcher.failed(LedgerClientError(.tooLarge, "no", status: 413), now: now, chance: 1)
        #expect(result == .divided)
        _ = try Self.sent(batcher.next(now: now))
        batcher.delivered(try Self.appended(3...3), now: now)
        #expect(!batcher.isSettled(generation))
        _ = try Self.sent(batcher.next(now: now))
        batcher.failed(Self.refusal, now: now, chance: 1)
        #expect(batcher.isSettled(generation) && batcher.statistics.dropped == 1)
    }

    @Test("a permanently refused batch is dropped and counted, and its numbers are not reused")
    func drops() throws {
        let now = ContinuousClock.now
        var batcher = try Self.started(at: now)
        let slot = try Self.slot(nil, in: &batcher)
        _ = batcher.accept(slot, total: 0, done: 1) { now }
        _ = try Self.sent(batcher.next(now: now + .seconds(1)))
        batcher.failed(Self.refusal, now: now, chance: 1)
        #expect(batcher.statistics.dropped == 1)
        _ = batcher.accept(slot, total: 0, done: 1) { now }
        do {
            let step = batcher.next(now: now + .seconds(2))
            #expect(try Self.sent(step).map(Self.units) == [[2, nil, 1]])
        }
    }

    @Test("the batcher gives up a quarter of an hour after the end, not before")
    func givesUp() throws {
        let now = ContinuousClock.now
        var batcher = ReportBatcher(Self.reference)
        batcher.end(.succeeded, now: now)
        _ = batcher.next(now: now)
        batcher.failed(Self.error(.unreachable), now: now + .seconds(890), chance: 1)
        _ = try Self.sent(batcher.next(now: now + .seconds(899)))
        guard case .stop = batcher.next(now: now + .seconds(901)) else {
            return #expect(Bool(false), "the batcher does not give up")
        }
        #expect(batcher.statistics.dropped == 2)
    }

    @Test("the batcher checks for a newer execution at intervals, even without reports")
    func verdicts() throws {
        let now = ContinuousClock.now
        var batcher = try Self.started(at: now)
        do {
            let step = batcher.next(now: now)
            #expect(Self.wait(step) == now + ReportBatcher.verdictInterval)
        }
        guard case .readStartVerdict = batcher.next(now: now + ReportBatcher.verdictInterval) else {
            return #expect(Bool(false), "the batcher does not read the verdict")
        }
        batcher.verdictRead(.counted, now: now + .seconds(10))
        #expect(!batcher.isSuperseded)
        let slot = try Self.slot(nil, in: &batcher)
        _ = batcher.accept(slot, total: 0, done: 1) { now + .seconds(12) }
        guard case .send(_, let early) = batcher.next(now: now + .seconds(13)) else {
            return #expect(Bool(false), "the batcher does not send")
        }
        #expect(!early)
        batcher.delivered(try Self.appended(3...3), now: now + .seconds(13))
        _ = batcher.accept(slot, total: 0, done: 1) { now + .seconds(25) }
        guard case .send(_, let due) = batcher.next(now: now + .seconds(26)) else {
            return #expect(Bool(false), "the batcher does not send")
        }
        #expect(due)
        batcher.delivered(try Self.appended(4...4, [.superseded]), now: now + .seconds(26))
        #expect(batcher.isSuperseded && batcher.statistics.isSuperseded)
        do {
            let step = batcher.next(now: now + .seconds(99))
            #expect(Self.wait(step) == nil)
        }
    }

    @Test("an execution has at most a thousand labels, including the default indicator")
    func labels() {
        var batcher = ReportBatcher(Self.reference)
        var taken = [batcher.slot(of: nil)]
        for number in 1..<1_000 { taken.append(batcher.slot(of: Name("label \(number)"))) }
        #expect(taken == Array(0..<1_000).map { Optional($0) })
        let more = [batcher.slot(of: "one more"), batcher.slot(of: "label 999"), batcher.slot(of: nil)]
        #expect(more == [nil, 999, 0])
    }
}
