import Ledger
import LedgerTestSupport
import Testing

@Suite("Estimates of the remaining time", .ownThread)
struct EstimatorTests {
    /// A job of equal workers, cut off when some tasks have been started.
    private func uniform(
        tasks: Int = 100, workers: Int = 4, mean: Double = 10, done: Int, scale: Double = 1
    ) -> EstimateScenario {
        var job = EstimateScenario()
        var durations = Durations(seed: 7)
        job.plan(Int64(tasks))
        job.work(tasks: tasks, workers: workers, stopAfter: done) { _ in durations.around(mean) * scale }
        return job
    }

    @Test("half of a uniform job takes as long as its other half", arguments: [1, 4, 16])
    func uniformJob(workers: Int) throws {
        var job = EstimateScenario()
        var durations = Durations(seed: 3)
        job.plan(200)
        let end = job.work(tasks: 200, workers: workers) { _ in durations.around(10) }
        let remaining = try #require(try job.estimate(at: end / 2).remaining)
        #expect((0.9...1.1).contains(remaining.p50 / (end / 2)), "\(remaining), true \(end / 2)")
        #expect(remaining.p10 <= end / 2 && end / 2 <= remaining.p90)
        #expect(remaining.p10 > 0 && remaining.p10 <= remaining.p50 && remaining.p50 <= remaining.p90)
    }

    @Test("times a thousand times as long give an estimate a thousand times as long")
    func scalesWithTime() throws {
        let short = try #require(try uniform(done: 50).estimate(at: 120).remaining)
        let long = try #require(try uniform(done: 50, scale: 1_000).estimate(at: 120_000).remaining)
        #expect(abs(long.p50 / short.p50 / 1_000 - 1) < 0.02)
        #expect(abs(long.p90 / short.p90 / 1_000 - 1) < 0.02)
    }

    @Test("without a total, progress, or anything at all, there is no estimate but a reason")
    func reasons() throws {
        var job = EstimateScenario()
        #expect(try job.estimate(at: 1) == .none(.noProgress))
        job.begin("a", at: 2)
        job.report("a", done: 3, at: 3)
        #expect(try job.estimate(at: 4) == .none(.totalUnknown))
        job.report("a", label: "other", total: 0, at: 5)
        #expect(try job.estimate(at: 6) == .none(.totalUnknown))
        var planned = EstimateScenario()
        planned.plan(10)
        #expect(try planned.estimate(at: 5) == .none(.noProgress))
        planned.finish(at: 6)
        #expect(try planned.estimate(at: 7) == .none(.finished))
    }

    @Test("a job that has done everything is expected to end soon, and later there is no estimate")
    func closing() throws {
        var job = EstimateScenario()
        job.plan(4)
        let end = job.work(tasks: 4, workers: 2) { _ in 10 }
        job.end("root", at: end)
        let soon = try #require(try job.estimate(at: end + 0.1).remaining)
        let later = try #require(try job.estimate(at: end + 5).remaining)
        #expect(soon.p50 < 0.2)
        #expect(later.p50 > 10 * soon.p50)
        for second in [5.1, 60, 1e6] {
            #expect(try job.estimate(at: end + second) == .none(.allDone))
        }
        job.report("more", total: 4, done: 1, at: end + 100)
        let again = try job.estimate(at: end + 101)
        #expect(again.remaining != nil)
    }

    @Test("without ends of executions, a job is done once its indicators reach their totals")
    func closingWithoutEnds() throws {
        var job = EstimateScenario()
        job.report("a", total: 10, done: 1, at: 0)
        for second in 1...9 { job.report("a", done: 1, at: Double(second) * 10) }
        #expect(try job.estimate(at: 85).remaining != nil)
        let soon = try #require(try job.estimate(at: 91).remaining)
        #expect(soon.p50 < 2)
        #expect(try job.estimate(at: 150) == .none(.allDone))
        // An execution that was announced and has not ended may do more.
        job.begin("b", at: 92)
        let later = try job.estimate(at: 150)
        #expect(later.remaining != nil)
    }

    @Test("more units done than declared leave nothing, and the estimate stays positive")
    func over() throws {
        var job = EstimateScenario()
        job.plan(2)
        job.work(tasks: 6, workers: 2, stopAfter: 4) { _ in 10 }
        job.begin("late", at: 20)
        let remaining = try #require(try job.estimate(at: 22).remaining)
        #expect(remaining.p50 > 0 && remaining.p50 < 40)
    }

    @Test("a pause lengthens the estimate while it lasts, and no longer")
    func pause() throws {
        var job = EstimateScenario()
        job.plan(100)
        job.work(tasks: 50, workers: 4) { _ in 10 }
        let atOnce = try #require(try job.estimate(at: 131).remaining)
        let paused = try #require(try job.estimate(at: 500).remaining)
        #expect(paused.p50 > 1.3 * atOnce.p50)
        job.work(tasks: 50, workers: 4, from: 600, prefix: "u", stopAfter: 40) { _ in 10 }
        let after = try #require(try job.estimate(at: 690).remaining)
        #expect((0.7...1.4).contains(after.p50 / 40), "\(after)")
    }

    @Test("a gap of an hour between events changes nothing once work goes on")
    func clockJump() throws {
        var job = EstimateScenario()
        job.plan(40)
        job.work(tasks: 20, workers: 1) { _ in 10 }
        job.work(tasks: 20, workers: 1, from: 3_800, prefix: "u", stopAfter: 12) { _ in 10 }
        let remaining = try #require(try job.estimate(at: 3_901).remaining)
        #expect((0.8...1.25).contains(remaining.p50 / 99), "\(remaining)")
    }

    @Test("tasks of no duration give an estimate")
    func zeroDurations() throws {
        var job = EstimateScenario()
        job.plan(100)
        job.work(tasks: 50, workers: 1) { _ in 0 }
        let remaining = try #require(try job.estimate(at: 1).remaining)
        #expect(remaining.p10 > 0 && remaining.p90.isFinite)
    }

    @Test("totals of 2⁵³ units give an estimate")
    func largeTotals() throws {
        var job = EstimateScenario()
        job.begin("a", at: 0)
        job.report("a", total: 9_007_199_254_740_991, at: 0)
        job.report("a", total: 9_007_199_254_740_991, at: 0)
        for step in 1...4 { job.report("a", done: 900_719_925_474_099, at: Double(step) * 10) }
        let remaining = try #require(try job.estimate(at: 40).remaining)
        #expect((0.8...1.25).contains(remaining.p50 / 160), "\(remaining)")
    }

    @Test("hundreds of small reports of one execution give its pace", arguments: [false, true])
    func increments(isAnnounced: Bool) throws {
        var job = EstimateScenario()
        if isAnnounced { job.begin("a", at: 0) }
        job.report("a", total: 1_000, at: 0)
        for step in 1...400 { job.report("a", done: 1, at: Double(step)) }
        let remaining = try #require(try job.estimate(at: 400).remaining)
        #expect((0.85...1.2).contains(remaining.p50 / 600), "\(remaining)")
    }

    @Test("executions that declare their own units are workers")
    func workersDeclare() throws {
        var job = EstimateScenario()
        for number in 0..<32 {
            let (worker, round) = (number % 8, number / 8)
            let begun = Double(round) * 10 + Double(worker) / 10
            job.begin("t\(number)", at: begun)
            job.report("t\(number)", total: 1, at: begun)
            guard round < 3 else { continue }
            job.report("t\(number)", done: 1, at: begun + 10)
            job.end("t\(number)", at: begun + 10)
        }
        let (_, state) = try job.folded(to: 31)
        #expect(state.workers == 8)
        // The total has grown for half a minute, and may go on.
        let remaining = try #require(try job.estimate(at: 31).remaining)
        #expect((9.0...60).contains(remaining.p50), "\(remaining)")
    }

    @Test("a slowdown is noticed from the recent durations")
    func slowdown() throws {
        var job = EstimateScenario()
        var durations = Durations(seed: 11)
        job.plan(300)
        let end = job.work(tasks: 300, workers: 1) { durations.around($0 < 150 ? 1 : 4) }
        let moment = end - 300
        let remaining = try #require(try job.estimate(at: moment).remaining)
        #expect((0.8...1.25).contains(remaining.p50 / 300), "\(remaining)")
    }

    @Test("a superseded execution leaves the running ones and counts as a failure")
    func superseded() throws {
        var job = EstimateScenario()
        job.plan(10)
        job.begin("a", at: 1)
        job.begin("a", attempt: 2, at: 5)
        let (_, state) = try job.folded(to: 6)
        #expect(state.workers == 1)
        #expect(state.failedExecutions == 1)
        job.report("a", attempt: 1, done: 5, at: 7)
        let late = try job.folded(to: 8).state
        #expect(late.workers == 1)
    }

    @Test("provisional units are left again once the job repeats failed work")
    func provisional() throws {
        func remaining(repeats: Bool) throws -> Double {
            var job = uniform(tasks: 40, workers: 1, done: 20)
            if repeats {
                job.begin("f", at: 210)
                job.end("f", .failed, at: 211)
                job.begin("f", attempt: 2, at: 212)
                job.end("f", attempt: 2, at: 213)
            }
            job.begin("g", at: 214)
            job.report("g", done: 10, at: 215)
            job.end("g", .failed, at: 216)
            return try #require(try job.estimate(at: 217).remaining).p50
        }
        #expect(try remaining(repeats: true) > 1.5 * remaining(repeats: false))
    }

    @Test("a total that grows regularly is expected to grow on")
    func growingTotal() throws {
        func remaining(declarations: Int) throws -> Double {
            var job = EstimateScenario()
            job.begin("root", at: 0)
            for number in 0..<declarations {
                job.report("root", total: Int64(120 / declarations), at: Double(number) * 100 / Double(declarations))
            }
            job.work(tasks: 120, workers: 1, stopAfter: 20) { _ in 5 }
            return try #require(try job.estimate(at: 101).remaining).p50
        }
        #expect(try remaining(declarations: 12) > 1.1 * remaining(declarations: 1))
    }

    @Test("a thousand labels and a thousand running executions give an estimate")
    func manyLabels() throws {
        var job = EstimateScenario()
        job.begin("root", at: 0)
        for label in 0..<1_000 { job.report("root", label: "l\(label)x", total: 5, at: 0) }
        for number in 0..<500 {
            job.begin("d\(number)", at: 1)
            job.report("d\(number)", label: "l\(number)x", done: 1, at: 11)
            job.end("d\(number)", at: 11)
        }
        for number in 0..<1_000 { job.begin("r\(number)", at: 12) }
        let (fold, state) = try job.folded(to: 15)
        #expect(state.workers == 1_000)
        #expect(state.encoded.count < 150_000)
        let estimator = Estimator(state, fold.snapshot(), history: nil, startedTasks: [])
        let remaining = try #require(estimator.estimate(at: EstimateScenario.moment(15)).remaining)
        #expect(remaining.p50 > 1 && remaining.p90.isFinite)
    }

    @Test("the estimate names the label and the execution that hold up the end")
    func waitingFor() throws {
        var job = uniform(tasks: 40, workers: 4, done: 40)
        job.report("root", label: "merge", total: 100, at: 1)
        job.begin("slow", at: 2)
        for step in 1...5 { job.report("slow", label: "merge", done: 1, at: 2 + Double(step) * 10) }
        let (fold, _) = try job.folded(to: 55)
        let waiting = try #require(try job.estimate(at: 55).waitingFor)
        #expect(waiting.label == "merge")
        let first = try #require(waiting.executions.first)
        #expect(fold.taskName(of: first) == "slow")
    }

    @Test("a reopened job is estimated again")
    func reopened() throws {
        var job = EstimateScenario()
        job.plan(40)
        job.work(tasks: 40, workers: 2, stopAfter: 20) { _ in 10 }
        job.finish(.failed, at: 101)
        #expect(try job.estimate(at: 102) == .none(.finished))
        job.begin("again", at: 110)
        let remaining = try #require(try job.estimate(at: 111).remaining)
        #expect(remaining.p50 > 50)
    }

    @Test("a job whose workers are lost has a late p90")
    func lostWorkers() throws {
        var job = uniform(tasks: 24, workers: 4, done: 20)
        job.begin("lost", at: 51)
        let early = try #require(try job.estimate(at: 60).remaining)
        let late = try #require(try job.estimate(at: 600).remaining)
        #expect(late.p90 > 2 * early.p90)
    }
}
