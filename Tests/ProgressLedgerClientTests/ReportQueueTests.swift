import Ledger
import LedgerWire
import Testing

@testable import ProgressLedgerClient

/// Tests of the report queue, with a clock that the tests move.
@Suite("Report queue")
struct ReportQueueTests {
    private static let reference = ExecutionReference(task: "t", execution: "e", attempt: 1)

    /// Returns a queue of an execution with a recorded start.
    private static func started(at now: ContinuousClock.Instant) throws -> ReportQueue {
        var queue = ReportQueue(reference)
        #expect(try sent(queue.next(now: now)).map(\.body) == [.executionStarted(reference)])
        queue.delivered(try appended(2...2, [.counted]), now: now)
        return queue
    }

    private static func slot(_ label: Name?, in queue: inout ReportQueue) throws -> Int {
        let slot = queue.slot(label)
        return try #require(slot)
    }

    private static func appended(_ sequences: ClosedRange<Int64>, _ verdicts: [Verdict]? = nil) throws -> Appended {
        let list = verdicts.map { ",\"verdicts\":[\($0.map { "\"\($0.rawValue)\"" }.joined(separator: ","))]" } ?? ""
        let json =
            "{\"first_sequence\":\(sequences.lowerBound),\"last_sequence\":\(sequences.upperBound)\(list)}"
        return try Appended(try JSONReader.read(Array(json.utf8)))
    }

    private static func sent(_ step: ReportQueue.Step) throws -> [EventDraft] {
        guard case .send(let events, _) = step else {
            Issue.record("nothing is sent: \(step)")
            return []
        }
        return events
    }

    private static func wait(_ step: ReportQueue.Step) -> ContinuousClock.Instant? {
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
        var queue = try Self.started(at: now)
        let download = try Self.slot("download", in: &queue)
        let unlabeled = try Self.slot(nil, in: &queue)
        let second = try Self.slot("download", in: &queue)
        #expect(second == download)
        let wakesSender = [
            queue.take(download, total: 10, done: 0) { now },
            queue.take(download, total: 0, done: 1) { now + .milliseconds(900) },
            queue.take(unlabeled, total: 0, done: 0) { now + .milliseconds(900) },
        ]
        #expect(wakesSender == [true, false, false])
        let before = queue.next(now: now + .milliseconds(999))
        #expect(Self.wait(before) == now + .seconds(1))
        let events = try Self.sent(queue.next(now: now + .seconds(1)))
        #expect(events.map(Self.units) == [[1, 10, 1], [2, nil, nil]])
        queue.delivered(try Self.appended(3...4), now: now + .seconds(1))
        #expect(queue.isSettled)
        #expect(queue.statistics.taken == 3 && queue.statistics.delivered == 3)
    }

    @Test("a batch is repeated unchanged until it has a response; later reports follow it")
    func repeats() throws {
        var now = ContinuousClock.now
        var queue = try Self.started(at: now)
        let slot = try Self.slot(nil, in: &queue)
        _ = queue.take(slot, total: 0, done: 1) { now }
        _ = queue.flush()
        let first = try Self.sent(queue.next(now: now))
        for number in 1...20 {
            queue.failed(Self.error(.outcomeUnknown), now: now, chance: 1)
            _ = queue.take(slot, total: 0, done: 1) { now }
            let moment = try #require(Self.wait(queue.next(now: now)))
            let pause = now.duration(to: moment)
            #expect(pause == min(.milliseconds(200) * (1 << min(number - 1, 10)), .seconds(30)))
            now = moment
            do {
                let step = queue.next(now: now)
                #expect(try Self.sent(step) == first)
            }
        }
        queue.delivered(try Self.appended(3...3), now: now)
        do {
            let step = queue.next(now: now + .seconds(1))
            #expect(try Self.sent(step).map(Self.units) == [[2, nil, 20]])
        }
        #expect(queue.statistics.failures == 20)
    }

    @Test("pauses are random, and last at least as long as the ledger asks for")
    func pauses() throws {
        let now = ContinuousClock.now
        var queue = ReportQueue(Self.reference)
        _ = queue.next(now: now)
        queue.failed(Self.error(.unavailable), now: now, chance: 0)
        do {
            let step = queue.next(now: now)
            #expect(Self.wait(step) == now + .milliseconds(100))
        }
        queue.failed(Self.error(.unavailable, retryAfter: .seconds(7)), now: now, chance: 0)
        do {
            let step = queue.next(now: now)
            #expect(Self.wait(step) == now + .seconds(7))
        }
    }

    @Test("a sum above the limit of an increment is split into several without loss")
    func splits() throws {
        let now = ContinuousClock.now
        var queue = try Self.started(at: now)
        let slot = try Self.slot("l", in: &queue)
        let most = Limits.increments.upperBound
        for _ in 0..<3 { _ = queue.take(slot, total: most, done: 0) { now } }
        _ = queue.take(slot, total: 5, done: 7) { now }
        queue.end(.succeeded, now: now)
        var found: [[Int64?]] = []
        var last: EventDraft?
        while !queue.isSettled {
            let events = try Self.sent(queue.next(now: now + .seconds(5)))
            found += events.map(Self.units).filter { !$0.isEmpty }
            last = events.last
            queue.delivered(try Self.appended(3...3), now: now)
        }
        #expect(found == [[1, most, 7], [2, most, nil], [3, most, nil], [4, 5, nil]])
        #expect(last?.body == .executionFinished(Self.reference, .succeeded))
        guard case .stop = queue.next(now: now) else { return #expect(Bool(false), "the queue does not stop") }
    }

    @Test("an execution that ends before its start is sent sends everything at once, in order")
    func endsEarly() throws {
        let now = ContinuousClock.now
        var queue = ReportQueue(Self.reference)
        let slot = try Self.slot(nil, in: &queue)
        _ = queue.take(slot, total: 1, done: 1) { now }
        queue.end(.failed, now: now)
        queue.end(.succeeded, now: now)
        let bodies = try Self.sent(queue.next(now: now)).map(\.body)
        #expect(bodies.first == .executionStarted(Self.reference))
        #expect(bodies.last == .executionFinished(Self.reference, .failed))
        #expect(bodies.count == 3)
    }

    @Test("a flush waits for earlier reports and not for later ones")
    func flushes() throws {
        let now = ContinuousClock.now
        var queue = ReportQueue(Self.reference)
        let slot = try Self.slot(nil, in: &queue)
        let start = queue.flush()
        _ = try Self.sent(queue.next(now: now))
        _ = queue.take(slot, total: 0, done: 1) { now }
        let first = queue.flush()
        _ = queue.take(slot, total: 0, done: 2) { now }
        let goals = [queue.isSettled(start), queue.isSettled(first)]
        #expect(goals == [false, false])
        queue.delivered(try Self.appended(2...2), now: now)
        #expect(queue.isSettled(start) && !queue.isSettled(first))
        do {
            // The flush makes everything due at once, including later reports.
            let step = queue.next(now: now)
            #expect(try Self.sent(step).map(Self.units) == [[1, nil, 3]])
        }
        let inProgress = queue.flush()
        _ = queue.take(slot, total: 0, done: 4) { now }
        #expect(inProgress == first && !queue.isSettled(first))
        queue.delivered(try Self.appended(3...3), now: now)
        #expect(queue.isSettled(first) && !queue.isSettled)
        do {
            // Later reports wait as usual.
            let step = queue.next(now: now)
            #expect(Self.wait(step) == now + ReportQueue.delayMax)
        }
    }

    @Test("a flush of a split sum waits for its last part, and not for refused parts")
    func flushesAll() throws {
        let now = ContinuousClock.now
        var queue = try Self.started(at: now)
        let slot = try Self.slot(nil, in: &queue)
        for _ in 0..<2 { _ = queue.take(slot, total: Limits.increments.upperBound, done: 0) { now } }
        let goal = queue.flush()
        _ = try Self.sent(queue.next(now: now))
        let result = queue.failed(LedgerClientError(.tooLarge, "no", status: 413), now: now, chance: 1)
        #expect(result == .divided)
        _ = try Self.sent(queue.next(now: now))
        queue.delivered(try Self.appended(3...3), now: now)
        #expect(!queue.isSettled(goal))
        _ = try Self.sent(queue.next(now: now))
        queue.failed(Self.refusal, now: now, chance: 1)
        #expect(queue.isSettled(goal) && queue.statistics.dropped == 1)
    }

    @Test("a permanently refused batch is dropped and counted, and its numbers are not reused")
    func drops() throws {
        let now = ContinuousClock.now
        var queue = try Self.started(at: now)
        let slot = try Self.slot(nil, in: &queue)
        _ = queue.take(slot, total: 0, done: 1) { now }
        _ = try Self.sent(queue.next(now: now + .seconds(1)))
        queue.failed(Self.refusal, now: now, chance: 1)
        #expect(queue.statistics.dropped == 1)
        _ = queue.take(slot, total: 0, done: 1) { now }
        do {
            let step = queue.next(now: now + .seconds(2))
            #expect(try Self.sent(step).map(Self.units) == [[2, nil, 1]])
        }
    }

    @Test("the queue gives up a quarter of an hour after the end, not before")
    func givesUp() throws {
        let now = ContinuousClock.now
        var queue = ReportQueue(Self.reference)
        queue.end(.succeeded, now: now)
        _ = queue.next(now: now)
        queue.failed(Self.error(.unreachable), now: now + .seconds(890), chance: 1)
        _ = try Self.sent(queue.next(now: now + .seconds(899)))
        guard case .stop = queue.next(now: now + .seconds(901)) else {
            return #expect(Bool(false), "the queue does not give up")
        }
        #expect(queue.statistics.dropped == 2)
    }

    @Test("the queue checks for a newer execution at intervals, even without reports")
    func verdicts() throws {
        let now = ContinuousClock.now
        var queue = try Self.started(at: now)
        do {
            let step = queue.next(now: now)
            #expect(Self.wait(step) == now + ReportQueue.verdictInterval)
        }
        guard case .readStartVerdict = queue.next(now: now + ReportQueue.verdictInterval) else {
            return #expect(Bool(false), "the queue does not read the verdict")
        }
        queue.verdictRead(.counted, now: now + .seconds(10))
        #expect(!queue.isSuperseded)
        let slot = try Self.slot(nil, in: &queue)
        _ = queue.take(slot, total: 0, done: 1) { now + .seconds(12) }
        guard case .send(_, let early) = queue.next(now: now + .seconds(13)) else {
            return #expect(Bool(false), "the queue does not send")
        }
        #expect(!early)
        queue.delivered(try Self.appended(3...3), now: now + .seconds(13))
        _ = queue.take(slot, total: 0, done: 1) { now + .seconds(25) }
        guard case .send(_, let due) = queue.next(now: now + .seconds(26)) else {
            return #expect(Bool(false), "the queue does not send")
        }
        #expect(due)
        queue.delivered(try Self.appended(4...4, [.superseded]), now: now + .seconds(26))
        #expect(queue.isSuperseded && queue.statistics.isSuperseded)
        do {
            let step = queue.next(now: now + .seconds(99))
            #expect(Self.wait(step) == nil)
        }
    }

    @Test("an execution has at most a thousand labels, including the default indicator")
    func labels() {
        var queue = ReportQueue(Self.reference)
        var taken = [queue.slot(nil)]
        for number in 1..<1_000 { taken.append(queue.slot(Name("label \(number)"))) }
        #expect(taken == Array(0..<1_000).map { Optional($0) })
        let more = [queue.slot("one more"), queue.slot("label 999"), queue.slot(nil)]
        #expect(more == [nil, 999, 0])
    }
}

@Suite("Attempts from the environment")
struct ExecutionAttemptTests {
    private struct Case: Sendable {
        let environment: [String: String]
        let attempt: Int32?

        init(_ environment: [String: String], _ attempt: Int32?) {
            self.environment = environment
            self.attempt = attempt
        }
    }

    private static let cases: [Case] = [
        Case(["PROGRESS_LEDGER_ATTEMPT": "3", "AIRFLOW_CTX_TRY_NUMBER": "9"], 3),
        Case(["AIRFLOW_CTX_TRY_NUMBER": "2"], 2), Case(["AWS_BATCH_JOB_ATTEMPT": "4"], 4),
        Case(["SLURM_JOB_ID": "1"], 1), Case(["SLURM_JOB_ID": "1", "SLURM_RESTART_COUNT": "2"], 3),
        Case(["SLURM_RESTART_COUNT": "2"], nil), Case(["JOB_INDEX_FAILURE_COUNT": "0"], 1),
        Case(["JOB_INDEX_FAILURE_COUNT": "2", "JOB_INDEX_IGNORED_FAILURE_COUNT": "3"], 6), Case([:], nil),
        Case(["PROGRESS_LEDGER_ATTEMPT": "0"], nil), Case(["PROGRESS_LEDGER_ATTEMPT": "x"], nil),
        Case(["PROGRESS_LEDGER_ATTEMPT": "2147483648"], nil),
        Case(["PROGRESS_LEDGER_ATTEMPT": "2147483647"], Int32.max),
        Case(["JOB_INDEX_FAILURE_COUNT": "2147483647"], nil), Case(["JOB_INDEX_FAILURE_COUNT": "-1"], nil),
    ]

    @Test("each engine's variables give the attempt, and an invalid value gives none")
    func attempts() {
        for one in Self.cases { #expect(ExecutionAttempt.from(one.environment) == one.attempt, "\(one)") }
    }
}
