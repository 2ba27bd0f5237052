import LedgerTestSupport
import Testing

@testable import Ledger

@Suite("States and summaries of estimates", .ownThread)
struct EstimateStateTests {
    @Test(
        "a state that is stored after each batch, or kept in memory, equals one folded at once",
        arguments: FoldLawTests.seeds, [0, 0.9, 1])
    func isIndependentOfBatches(seed: UInt64, shareInMemory: Double) throws {
        var generator = SeededGenerator(seed: seed)
        var rest = RandomHistory.events(count: 300, seed: seed)[...]
        var whole = (fold: Fold(tracksChanges: false), state: EstimateState())
        var stored = StoredFold()
        var size = Int(seed % 5) + 1
        while !rest.isEmpty {
            let batch = Array(rest.prefix(size))
            rest = rest.dropFirst(size)
            for event in batch { try whole.state.apply(event, to: &whole.fold) }
            let keepsState = Double.random(in: 0..<1, using: &generator) < shareInMemory
            try stored.fold(batch, keepsState: keepsState)
            try #require(try stored.estimateState() == whole.state, "after event \(whole.fold.progress.sequence)")
            size = size * 7 % 11 + 1
        }
    }

    @Test("the number of workers is that of the running last executions", arguments: FoldLawTests.seeds)
    func workers(seed: UInt64) throws {
        var fold = Fold(tracksChanges: false)
        var state = EstimateState()
        var working: Set<ExecutionID> = []
        for event in RandomHistory.events(count: 300, seed: seed) {
            let decision = try state.apply(event, to: &fold)
            // An execution did its carried units not itself.
            if case .progress(let report) = event.body, !decision.verdict.isDiscarded,
                let execution = decision.execution,
                report.done ?? 0 > report.carried ?? 0
            {
                working.insert(execution)
            }
            let running = fold.executionStates.filter { $0.isLast && $0.outcome == nil }
            try #require(state.workers <= Int64(running.count), "after \(event)")
            try #require(state.workers >= Int64(running.filter { working.contains($0.id) }.count))
        }
    }

    @Test("carried units that are reported before the total are not left to do either")
    func carriedFirst() {
        func left(_ reports: [(total: Int64, carried: Int64)]) -> Int64? {
            var execution = RunningExecution(
                ExecutionID(2), of: TaskID(2), taskKey: 0, startedAt: Timestamp(microseconds: 0), isAnnounced: true,
                beginsBeforeFirstUnit: true)
            for report in reports {
                execution.add(
                    total: report.total, done: 0, carried: report.carried, on: IndicatorID(3),
                    at: Timestamp(microseconds: 1))
            }
            return execution.parts.first?.total
        }
        #expect(left([(1_000, 0), (0, 500)]) == 500)
        #expect(left([(0, 500), (1_000, 0)]) == 500)
    }

    @Test("carried units do not change the rate, and are not left to do")
    func carriedUnits() throws {
        func pace(carrying carried: Int64?) throws -> IndicatorPace? {
            var fold = Fold(tracksChanges: false)
            var state = EstimateState()
            func moment(_ sequence: EventSequence) -> Timestamp { Timestamp(microseconds: sequence.number * 1_000_000) }
            func apply(_ body: EventBody) throws {
                let sequence = fold.progress.sequence + 1
                try state.apply(Event(sequence: sequence, recordedAt: moment(sequence), body: body), to: &fold)
            }
            func report(total: Int64? = nil, done: Int64, carried: Int64? = nil) -> EventBody {
                .progress(
                    ProgressReport(
                        reference: ExecutionReference(task: "t", attempt: 1), total: total, done: done, carried: carried
                    ))
            }
            try apply(.jobCreated(JobDescription(name: "resumed")))
            try apply(report(total: 1_000, done: carried ?? 0, carried: carried))
            for _ in 0..<20 { try apply(report(done: 10)) }
            return state.paces(of: fold.snapshot(), at: moment(fold.progress.sequence))[nil]
        }
        let fresh = try #require(try pace(carrying: nil))
        let resumed = try #require(try pace(carrying: 500))
        #expect(fresh.rate == resumed.rate && fresh.rate > 0)
        let (resumedLeft, freshLeft) = (try #require(resumed.remainingSeconds), try #require(fresh.remainingSeconds))
        #expect(resumedLeft < freshLeft)
    }

    @Test("damaged bytes and other versions are refused")
    func damaged() throws {
        var job = EstimateScenario()
        job.plan(10)
        job.work(tasks: 10, workers: 2, stopAfter: 5) { _ in 10 }
        let (fold, state) = try job.folded(to: 35)
        let bytes = state.encoded
        #expect(throws: FoldStateError.self) { try EstimateState(encoded: Array(bytes.dropLast())) }
        #expect(throws: FoldStateError.self) { try EstimateState(encoded: bytes + [0]) }
        #expect(EstimateState(stored: [99] + bytes.dropFirst()) == nil)
        var restored = try #require(EstimateState(stored: bytes))
        let indicator = try #require(fold.indicatorStates.first)
        let pattern = try #require(state.encodedPattern(of: indicator.id))
        #expect(throws: FoldStateError.self) { try restored.restore(patterns: Array(pattern.dropLast())) }
        try restored.restore(patterns: pattern)
        let work = fold.executionStates.compactMap { state.encodedWork(of: $0.id) }
        #expect(!work.isEmpty)
        #expect(throws: FoldStateError.self) { try restored.restore(work: Array(work[0].dropLast())) }
        try restored.restore(work: work.flatMap { $0 })
        #expect(restored == state)
    }

    @Test("no part of a state grows with the number of tasks or of running executions")
    func isBounded() throws {
        func size(tasks: Int, workers: Int) throws -> Int {
            var job = EstimateScenario()
            job.plan(Int64(tasks) + 10)
            let end = job.work(tasks: tasks, workers: workers) { _ in 1 }
            let (fold, state) = try job.folded(to: end - 0.5)
            let patterns = fold.indicatorStates.compactMap { state.encodedPattern(of: $0.id)?.count }
            let work = fold.executionStates.compactMap { state.encodedWork(of: $0.id)?.count }
            return try state.encoded.count + #require(patterns.max()) + #require(work.max())
        }
        #expect(try size(tasks: 20_000, workers: 1_000) <= size(tasks: 1_000, workers: 4) + 32)
    }

    /// A job of which the tasks have durations of their own.
    private func nightly(factor: Double = 1) -> EstimateScenario {
        var job = EstimateScenario()
        job.plan(30)
        let end = job.work(tasks: 30, workers: 2) { factor * (2 + Double($0 * 7 % 13)) }
        job.end("root", at: end)
        job.finish(at: end)
        return job
    }

    @Test("a summary is restored from its bytes, and is small")
    func summaryCoding() throws {
        let first = try #require(try nightly().summary().summary)
        #expect(try RunSummary(encoded: first.encoded) == first)
        let history = EstimateHistory([first])
        let second = try nightly(factor: 1.1).summary(after: history)
        let summary = try #require(second.summary)
        #expect(try RunSummary(encoded: summary.encoded) == summary)
        #expect(summary.encoded.count < 1_000)
        #expect(throws: FoldStateError.self) { try RunSummary(encoded: Array(summary.encoded.dropLast())) }
    }

    @Test("summaries of version 1 are read, and those of a later version than known are refused")
    func summaryVersions() throws {
        let summary = try #require(try nightly().summary().summary)
        // A number of the job, and one of its only label.
        let appended = 2 * 8
        let old = try RunSummary(encoded: Array(summary.encoded.dropLast(appended)), version: 1)
        #expect(old != summary && old.encoded.dropLast(appended) == summary.encoded.dropLast(appended))
        #expect(try RunSummary(encoded: summary.encoded, version: 1) == summary)
        #expect(throws: FoldStateError.self) {
            try RunSummary(encoded: Array(summary.encoded.dropLast(appended)), version: 2)
        }
        #expect(throws: FoldStateError.self) { try RunSummary(encoded: summary.encoded, version: 3) }
    }

    @Test("after one earlier job, the first moment already has a good estimate")
    func historyFromTheFirstSecond() throws {
        let history = EstimateHistory([try #require(try nightly().summary().summary)])
        let job = nightly(factor: 1.05)
        let end = try #require(job.recorded().last?.recordedAt)
        let left = Double(end.microseconds - EstimateScenario.moment(1).microseconds) / 1e6
        let estimate = try job.estimate(at: 1, history: history)
        let remaining = try #require(estimate.remaining)
        #expect(estimate.basis == .history)
        #expect((0.8...1.25).contains(remaining.p50 / left), "\(remaining), true \(left)")
        #expect(try job.estimate(at: 1).basis == .job)
    }

    @Test("a job that has declared nothing is estimated by the duration of the latest one of its name")
    func durationFromHistory() throws {
        let history = EstimateHistory([try #require(try nightly().summary().summary)])
        let usual = try #require(try nightly().summary().summary).seconds
        var job = EstimateScenario()
        job.begin("a", at: 0)
        for second in [0.0, 10, 2 * usual] {
            let estimate = try job.estimate(at: second, history: history)
            let remaining = try #require(estimate.remaining)
            #expect(estimate.basis == .history)
            #expect(remaining.p10 > 0 && remaining.p10 < remaining.p50 && remaining.p50 < remaining.p90)
            if second < usual {
                #expect((0.9...1.2).contains((second + remaining.p50) / usual), "\(second): \(remaining)")
            }
        }
        #expect(try job.estimate(at: 10).reason == .totalUnknown)
    }

    @Test("a job without totals is estimated from those of earlier jobs")
    func totalFromHistory() throws {
        let history = EstimateHistory([try #require(try nightly().summary().summary)])
        var job = EstimateScenario()
        job.work(tasks: 30, workers: 2, stopAfter: 10) { 2 + Double($0 * 7 % 13) }
        #expect(try job.estimate(at: 25).reason == .totalUnknown)
        #expect(try job.estimate(at: 25, history: history).remaining != nil)
    }

    @Test("the score of a job compares its estimates with its end")
    func score() throws {
        let score = try #require(try nightly().summary().score)
        #expect(score.estimates >= 4)
        #expect(score.logarithmicError >= 0 && score.logarithmicError < 1)
        #expect((0...1).contains(score.coverageP10) && (0...1).contains(score.coverageP90))
    }

    @Test("at most the newest five jobs of 3,000 tasks take less than 64 kB each")
    func summaryIsBounded() throws {
        var job = EstimateScenario()
        job.plan(4_000)
        let end = job.work(tasks: 4_000, workers: 50) { 1 + Double($0 % 7) }
        job.finish(at: end)
        let summary = try #require(try job.summary().summary)
        #expect(summary.encoded.count < 64_000)
        #expect(summary.encoded.count > 3_000 * 6)
    }
}
