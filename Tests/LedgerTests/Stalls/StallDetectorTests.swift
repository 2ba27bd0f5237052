import Ledger
import LedgerTestSupport
import Testing

@Suite("Stalled jobs", .ownThread)
struct StallDetectorTests {
    /// A job with two workers that stop after some tasks.
    private static func job(tasks: Int = 60, stopAfter: Int, seconds: Double) -> EstimateScenario {
        var job = EstimateScenario()
        var durations = Durations(seed: 3)
        job.plan(Int64(tasks))
        job.work(tasks: tasks, workers: 2, stopAfter: stopAfter) { _ in durations.around(seconds) }
        return job
    }

    /// The second at which a job is first found stalled; nil for never.
    private static func stallSecond(of job: EstimateScenario, after second: Double) throws -> Double? {
        var (low, high) = (second, second + 1e6)
        guard try job.stalls(at: high).since != nil else { return nil }
        for _ in 0..<40 {
            let middle = (low + high) / 2
            if try job.stalls(at: middle).since == nil { low = middle } else { high = middle }
        }
        return high
    }

    @Test("a job is stalled after some multiple of its own pauses, whatever their length", arguments: [2.0, 60, 3_600])
    func scales(seconds: Double) throws {
        var job = Self.job(stopAfter: 30, seconds: seconds)
        let last = 15 * seconds
        job.begin("lost1", at: 16 * seconds)
        job.begin("lost2", at: 16 * seconds)
        #expect(try job.stalls(at: last + 2 * seconds).since == nil)
        let found = try #require(try Self.stallSecond(of: job, after: last + 2 * seconds))
        #expect(found < last + 12 * seconds, "found after \((found - last) / seconds) units")
    }

    @Test("the time for which a job had ended is no stall, and does not slow it down")
    func reopened() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        job.report("t", total: 20, at: 0)
        for second in 1...20 { job.report("t", done: 1, at: Double(second)) }
        job.end("t", at: 20)
        job.finish(at: 20)
        let start = 50_000.0
        job.begin("u", at: start)
        job.report("u", total: 20, at: start)
        for second in [1.0, 5, 9] { #expect(try job.stalls(at: start + second).since == nil) }
        // It may be stalled again, but not since before it was reopened.
        #expect(try job.stalls(at: start + 1e6).since == EstimateScenario.moment(start))
        for second in 1...10 { job.report("u", done: 1, at: start + Double(second)) }
        let remaining = try #require(try job.estimate(at: start + 10.5).remaining)
        #expect((5...20).contains(remaining.p50), "\(remaining)")
        #expect(try job.stalls(at: start + 15).since == nil)
    }

    @Test("it is stalled since its last advance, and a further advance ends the stall")
    func since() throws {
        var job = Self.job(stopAfter: 30, seconds: 10)
        job.begin("late", at: 165)
        let advance = try #require(job.lastAdvance(before: 400))
        #expect(try job.stalls(at: 400).since == advance)
        job.report("late", done: 1, at: 400)
        #expect(try job.stalls(at: 401).since == nil)
    }

    @Test("heartbeats do not end a stall")
    func heartbeats() throws {
        var job = Self.job(stopAfter: 30, seconds: 10)
        for second in stride(from: 165.0, to: 600, by: 30) { job.begin("alive", at: second) }
        let stalls = try job.stalls(at: 600)
        #expect(stalls.since != nil)
        #expect(stalls.silentCount == 0)
    }

    @Test("units that take an hour are no stall of a job whose units always did")
    func longUnits() throws {
        var job = Self.job(stopAfter: 10, seconds: 3_600)
        job.begin("next1", at: 5 * 3_600)
        job.begin("next2", at: 5 * 3_600)
        #expect(try job.stalls(at: 6.2 * 3_600).since == nil)
    }

    @Test("a job with nothing left, without a worker or at its end is not stalled")
    func notStalled() throws {
        let done = Self.job(tasks: 30, stopAfter: 30, seconds: 10)
        #expect(try done.stalls(at: 1e5).since == nil)
        let waiting = Self.job(stopAfter: 30, seconds: 10)
        #expect(try waiting.stalls(at: 1e5).since == nil)
        var ended = Self.job(stopAfter: 30, seconds: 10)
        ended.begin("open", at: 165)
        ended.finish(.failed, at: 170)
        #expect(try ended.stalls(at: 1e5) == .none)
    }

    @Test("a first advance is no pattern")
    func young() throws {
        var job = EstimateScenario()
        job.plan(100)
        job.begin("t", at: 0)
        job.report("t", done: 1, at: 1)
        #expect(try job.stalls(at: 1e5).since == nil)
    }

    @Test("a pause that earlier jobs made is no stall, and one that none made is found sooner")
    func history() throws {
        func night(pause: Double) -> EstimateScenario {
            var job = EstimateScenario()
            job.plan(40)
            var end = job.work(tasks: 20, workers: 2) { _ in 10 }
            job.begin("merge", at: end)
            end += pause
            job.report("merge", done: 1, at: end)
            job.end("merge", at: end)
            end = job.work(tasks: 19, workers: 2, from: end, prefix: "u") { _ in 10 }
            job.finish(at: end)
            return job
        }
        let known = EstimateHistory([try #require(try night(pause: 500).summary().summary)])
        let usual = EstimateHistory([try #require(try night(pause: 10).summary().summary)])
        var job = EstimateScenario()
        job.plan(40)
        job.work(tasks: 20, workers: 2) { _ in 10 }
        job.begin("merge", at: 100)
        #expect(try job.stalls(at: 500, history: known).since == nil)
        #expect(try job.stalls(at: 500, history: usual).since != nil)
        #expect(try job.stalls(at: 500).since != nil)
        #expect(try job.stalls(at: 3_000, history: known).since != nil)
    }

    @Test("an indicator is stalled if its own executions have stopped, and the job is not")
    func indicators() throws {
        var job = EstimateScenario()
        job.plan(100, label: "tiles")
        job.report("root", label: "scenes", total: 100, at: 0)
        job.work(tasks: 20, workers: 2, label: "scenes", prefix: "s") { _ in 10 }
        for number in 0..<4 { job.begin("lost\(number)", at: 100) }
        job.work(tasks: 90, workers: 2, label: "tiles", prefix: "t") { _ in 10 }
        let stalls = try job.stalls(at: 440)
        #expect(stalls.since == nil)
        #expect(stalls.indicators.keys.map { $0 } == ["scenes"])
    }

    @Test("the result depends on nothing but the events, and is the same from a stored state")
    func isPure() throws {
        var job = Self.job(stopAfter: 30, seconds: 10)
        job.begin("late", at: 165)
        let (fold, state) = try job.folded(to: 400)
        var stored = try EstimateState(encoded: state.encoded)
        for indicator in fold.indicatorStates {
            try state.encodedPattern(of: indicator.id).map { try stored.restore(patterns: $0) }
        }
        for execution in fold.executionStates {
            try state.encodedWork(of: execution.id).map { try stored.restore(work: $0) }
        }
        for second in stride(from: 170.0, to: 1_000, by: 7) {
            let moment = EstimateScenario.moment(second)
            let description = JobDescription(name: "n")
            #expect(
                StallDetector(stored, fold.snapshot(), of: description, history: nil).stalls(at: moment)
                    == StallDetector(state, fold.snapshot(), of: description, history: nil).stalls(at: moment))
        }
    }
}

extension EstimateScenario {
    /// The stalls of the events up to a second, at that second.
    func stalls(at second: Double, history: EstimateHistory? = nil, lease: Int? = nil) throws -> JobStalls {
        try detector(to: second, history, lease).stalls(at: Self.moment(second))
    }

    /// The tasks with a silent execution at a second.
    func silent(at second: Double, history: EstimateHistory? = nil, lease: Int? = nil) throws -> [Name] {
        let silence = try detector(to: second, history, lease).silence(at: Self.moment(second))
        let fold = try folded(to: second).fold
        return silence.executions.sorted().compactMap { fold.taskName(of: $0) }
    }

    private func detector(to second: Double, _ history: EstimateHistory?, _ lease: Int?) throws -> StallDetector {
        let (fold, state) = try folded(to: second)
        let tags = lease.map { [JobDescription.leaseTag: Name("\($0)")] } ?? [:]
        return StallDetector(
            state, fold.snapshot(), of: JobDescription(name: "scenario", tags: tags), history: history)
    }

    /// The time of the last report of units done before a second.
    func lastAdvance(before second: Double) -> Timestamp? {
        recorded().last { event in
            guard case .progress(let report) = event.body else { return false }
            return report.done ?? 0 > 0 && event.recordedAt < Self.moment(second)
        }?.recordedAt
    }
}
