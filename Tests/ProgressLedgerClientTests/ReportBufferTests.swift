import Ledger
import LedgerWire
import Testing

@testable import ProgressLedgerClient

/// Tests of the report buffer, with a clock that the tests move.
@Suite("Report buffer")
struct ReportBufferTests {
    private static let reference = ExecutionReference(task: "t", execution: "e", attempt: 1)

    /// Returns a buffer of an execution with a recorded start.
    private static func started(at now: ContinuousClock.Instant) throws -> ReportBuffer {
        var buffer = ReportBuffer(reference)
        #expect(try sent(buffer.next(now: now)).map(\.body) == [.executionStarted(reference)])
        buffer.delivered(try appended(2...2, [.counted]), now: now)
        return buffer
    }

    private static func indicator(_ label: Name?, in buffer: inout ReportBuffer) throws -> Int {
        let indicator = buffer.indicator(of: label)
        return try #require(indicator)
    }

    private static func appended(_ sequences: ClosedRange<EventSequence>, _ verdicts: [Verdict]? = nil) throws
        -> Appended
    {
        let list = verdicts.map { ",\"verdicts\":[\($0.map { "\"\($0.rawValue)\"" }.joined(separator: ","))]" } ?? ""
        let json =
            "{\"first_sequence\":\(sequences.lowerBound),\"last_sequence\":\(sequences.upperBound)\(list)}"
        return try Appended(try JSONReader.read(Array(json.utf8)))
    }

    private static func sent(_ step: ReportBuffer.Step) throws -> [EventDraft] {
        guard case .send(let events, _) = step else {
            Issue.record("nothing is sent: \(step)")
            return []
        }
        return events
    }

    private static func wait(_ step: ReportBuffer.Step) -> ContinuousClock.Instant? {
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
        var buffer = try Self.started(at: now)
        let download = try Self.indicator("download", in: &buffer)
        let unlabeled = try Self.indicator(nil, in: &buffer)
        let second = try Self.indicator("download", in: &buffer)
        #expect(second == download)
        let wakesSender = [
            buffer.accept(download, total: 10, done: 0) { now },
            buffer.accept(download, total: 0, done: 1) { now + .milliseconds(900) },
            buffer.accept(unlabeled, total: 0, done: 0) { now + .milliseconds(900) },
        ]
        #expect(wakesSender == [true, false, false])
        let before = buffer.next(now: now + .milliseconds(999))
        #expect(Self.wait(before) == now + .seconds(1))
        let events = try Self.sent(buffer.next(now: now + .seconds(1)))
        #expect(events.map(Self.units) == [[1, 10, 1], [2, nil, nil]])
        buffer.delivered(try Self.appended(3...4), now: now + .seconds(1))
        #expect(buffer.isEmpty)
        #expect(buffer.statistics.taken == 3 && buffer.statistics.delivered == 3)
    }

    @Test("a batch is repeated unchanged until it has a response; later reports follow it")
    func repeats() throws {
        var now = ContinuousClock.now
        var buffer = try Self.started(at: now)
        let indicator = try Self.indicator(nil, in: &buffer)
        _ = buffer.accept(indicator, total: 0, done: 1) { now }
        _ = buffer.flush()
        let first = try Self.sent(buffer.next(now: now))
        for number in 1...20 {
            buffer.failed(Self.error(.outcomeUnknown), now: now, chance: 1)
            _ = buffer.accept(indicator, total: 0, done: 1) { now }
            let moment = try #require(Self.wait(buffer.next(now: now)))
            let pause = now.duration(to: moment)
            #expect(pause == min(.milliseconds(200) * (1 << min(number - 1, 10)), .seconds(30)))
            now = moment
            do {
                let step = buffer.next(now: now)
                #expect(try Self.sent(step) == first)
            }
        }
        buffer.delivered(try Self.appended(3...3), now: now)
        do {
            let step = buffer.next(now: now + .seconds(1))
            #expect(try Self.sent(step).map(Self.units) == [[2, nil, 20]])
        }
        #expect(buffer.statistics.failures == 20)
    }

    @Test("pauses are random, and last at least as long as the ledger asks for")
    func pauses() throws {
        let now = ContinuousClock.now
        var buffer = ReportBuffer(Self.reference)
        _ = buffer.next(now: now)
        buffer.failed(Self.error(.unavailable), now: now, chance: 0)
        do {
            let step = buffer.next(now: now)
            #expect(Self.wait(step) == now + .milliseconds(100))
        }
        buffer.failed(Self.error(.unavailable, retryAfter: .seconds(7)), now: now, chance: 0)
        do {
            let step = buffer.next(now: now)
            #expect(Self.wait(step) == now + .seconds(7))
        }
    }

    @Test("a sum above the limit of an increment is split into several without loss")
    func splits() throws {
        let now = ContinuousClock.now
        var buffer = try Self.started(at: now)
        let indicator = try Self.indicator("l", in: &buffer)
        let most = Limits.increments.upperBound
        for _ in 0..<3 { _ = buffer.accept(indicator, total: most, done: 0) { now } }
        _ = buffer.accept(indicator, total: 5, done: 7) { now }
        buffer.end(.succeeded, now: now)
        var found: [[Int64?]] = []
        var last: EventDraft?
        while !buffer.isEmpty {
            let events = try Self.sent(buffer.next(now: now + .seconds(5)))
            found += events.map(Self.units).filter { !$0.isEmpty }
            last = events.last
            buffer.delivered(try Self.appended(3...3), now: now)
        }
        #expect(found == [[1, most, 7], [2, most, nil], [3, most, nil], [4, 5, nil]])
        #expect(last?.body == .executionFinished(Self.reference, .succeeded))
        guard case .stop = buffer.next(now: now) else { return #expect(Bool(false), "the buffer does not stop") }
    }

    @Test("an execution that ends before its start is sent sends everything at once, in order")
    func endsEarly() throws {
        let now = ContinuousClock.now
        var buffer = ReportBuffer(Self.reference)
        let indicator = try Self.indicator(nil, in: &buffer)
        _ = buffer.accept(indicator, total: 1, done: 1) { now }
        buffer.end(.failed, now: now)
        buffer.end(.succeeded, now: now)
        let bodies = try Self.sent(buffer.next(now: now)).map(\.body)
        #expect(bodies.first == .executionStarted(Self.reference))
        #expect(bodies.last == .executionFinished(Self.reference, .failed))
        #expect(bodies.count == 3)
    }

    @Test("a flush waits for earlier reports and not for later ones")
    func flushes() throws {
        let now = ContinuousClock.now
        var buffer = ReportBuffer(Self.reference)
        let indicator = try Self.indicator(nil, in: &buffer)
        let start = buffer.flush()
        _ = try Self.sent(buffer.next(now: now))
        _ = buffer.accept(indicator, total: 0, done: 1) { now }
        let first = buffer.flush()
        _ = buffer.accept(indicator, total: 0, done: 2) { now }
        let goals = [buffer.isSettled(start), buffer.isSettled(first)]
        #expect(goals == [false, false])
        buffer.delivered(try Self.appended(2...2), now: now)
        #expect(buffer.isSettled(start) && !buffer.isSettled(first))
        do {
            // The flush makes everything due at once, including later reports.
            let step = buffer.next(now: now)
            #expect(try Self.sent(step).map(Self.units) == [[1, nil, 3]])
        }
        let inProgress = buffer.flush()
        _ = buffer.accept(indicator, total: 0, done: 4) { now }
        #expect(inProgress == first && !buffer.isSettled(first))
        buffer.delivered(try Self.appended(3...3), now: now)
        #expect(buffer.isSettled(first) && !buffer.isEmpty)
        do {
            // Later reports wait as usual.
            let step = buffer.next(now: now)
            #expect(Self.wait(step) == now + ReportBuffer.delayMax)
        }
    }

    @Test("a flush of a split sum waits for its last part, and not for refused parts")
    func flushesAll() throws {
        let now = ContinuousClock.now
        var buffer = try Self.started(at: now)
        let indicator = try Self.indicator(nil, in: &buffer)
        for _ in 0..<2 { _ = buffer.accept(indicator, total: Limits.increments.upperBound, done: 0) { now } }
        let generation = buffer.flush()
        _ = try Self.sent(buffer.next(now: now))
        let result = buffer.failed(LedgerClientError(.tooLarge, "no", status: 413), now: now, chance: 1)
        #expect(result == .divided)
        _ = try Self.sent(buffer.next(now: now))
        buffer.delivered(try Self.appended(3...3), now: now)
        #expect(!buffer.isSettled(generation))
        _ = try Self.sent(buffer.next(now: now))
        buffer.failed(Self.refusal, now: now, chance: 1)
        #expect(buffer.isSettled(generation) && buffer.statistics.dropped == 1)
    }

    @Test("a permanently refused batch is dropped and counted, and its numbers are not reused")
    func drops() throws {
        let now = ContinuousClock.now
        var buffer = try Self.started(at: now)
        let indicator = try Self.indicator(nil, in: &buffer)
        _ = buffer.accept(indicator, total: 0, done: 1) { now }
        _ = try Self.sent(buffer.next(now: now + .seconds(1)))
        buffer.failed(Self.refusal, now: now, chance: 1)
        #expect(buffer.statistics.dropped == 1)
        _ = buffer.accept(indicator, total: 0, done: 1) { now }
        do {
            let step = buffer.next(now: now + .seconds(2))
            #expect(try Self.sent(step).map(Self.units) == [[2, nil, 1]])
        }
    }

    @Test("the buffer gives up a quarter of an hour after the end, not before")
    func givesUp() throws {
        let now = ContinuousClock.now
        var buffer = ReportBuffer(Self.reference)
        buffer.end(.succeeded, now: now)
        _ = buffer.next(now: now)
        buffer.failed(Self.error(.unreachable), now: now + .seconds(890), chance: 1)
        _ = try Self.sent(buffer.next(now: now + .seconds(899)))
        guard case .stop = buffer.next(now: now + .seconds(901)) else {
            return #expect(Bool(false), "the buffer does not give up")
        }
        #expect(buffer.statistics.dropped == 2)
    }

    @Test("the buffer checks for a newer execution at intervals, even without reports")
    func verdicts() throws {
        let now = ContinuousClock.now
        var buffer = try Self.started(at: now)
        do {
            let step = buffer.next(now: now)
            #expect(Self.wait(step) == now + ReportBuffer.verdictInterval)
        }
        guard case .readStartVerdict = buffer.next(now: now + ReportBuffer.verdictInterval) else {
            return #expect(Bool(false), "the buffer does not read the verdict")
        }
        buffer.verdictRead(.counted, now: now + .seconds(10))
        #expect(!buffer.isSuperseded)
        let indicator = try Self.indicator(nil, in: &buffer)
        _ = buffer.accept(indicator, total: 0, done: 1) { now + .seconds(12) }
        guard case .send(_, let early) = buffer.next(now: now + .seconds(13)) else {
            return #expect(Bool(false), "the buffer does not send")
        }
        #expect(!early)
        buffer.delivered(try Self.appended(3...3), now: now + .seconds(13))
        _ = buffer.accept(indicator, total: 0, done: 1) { now + .seconds(25) }
        guard case .send(_, let due) = buffer.next(now: now + .seconds(26)) else {
            return #expect(Bool(false), "the buffer does not send")
        }
        #expect(due)
        buffer.delivered(try Self.appended(4...4, [.superseded]), now: now + .seconds(26))
        #expect(buffer.isSuperseded && buffer.statistics.isSuperseded)
        do {
            let step = buffer.next(now: now + .seconds(99))
            #expect(Self.wait(step) == nil)
        }
    }

    @Test("an execution has at most a thousand labels, including the default indicator")
    func labels() {
        var buffer = ReportBuffer(Self.reference)
        var taken = [buffer.indicator(of: nil)]
        for number in 1..<1_000 { taken.append(buffer.indicator(of: Name("label \(number)"))) }
        #expect(taken == Array(0..<1_000).map { Optional($0) })
        let more = [buffer.indicator(of: "one more"), buffer.indicator(of: "label 999"), buffer.indicator(of: nil)]
        #expect(more == [nil, 999, 0])
    }
}
