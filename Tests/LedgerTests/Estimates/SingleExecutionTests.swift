import Ledger
import LedgerTestSupport
import Testing

/// Jobs with few executions that report many times, each perhaps on several labels.
@Suite("Estimates of the rest of one execution", .ownThread)
struct SingleExecutionTests {
    /// Expects the median within a factor of the truth, and the interval around it.
    private func expect(
        _ job: EstimateScenario, at seconds: [Double], end: Double, within factor: Double = 1.3,
        history: EstimateHistory? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        for second in seconds {
            let estimate = try job.estimate(at: second, history: history)
            let remaining = try #require(estimate.remaining, sourceLocation: sourceLocation)
            let truth = end - second
            #expect(
                (1 / factor...factor).contains(remaining.p50 / truth), "\(remaining) at \(second), true \(truth)",
                sourceLocation: sourceLocation)
            #expect(
                remaining.p10 <= truth && truth <= remaining.p90, "\(remaining) at \(second), true \(truth)",
                sourceLocation: sourceLocation)
        }
    }

    @Test("bytes and files reported together take the time of one of them", arguments: [1, 1_000, 1_000_000_000])
    func together(scale: Int64) throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        job.report("t", label: "bytes", total: 300 * scale, at: 0)
        job.report("t", label: "files", total: 300, at: 0)
        for second in 1...300 {
            job.report("t", label: "bytes", done: scale, at: Double(second))
            job.report("t", label: "files", done: 1, at: Double(second))
        }
        try expect(job, at: [15.2, 60.2, 120.2, 180.2, 270.2], end: 300)
        let waiting = try #require(try job.estimate(at: 120.2).waitingFor)
        #expect(waiting.executions.count == 1)
    }

    @Test("labels one after another add up")
    func sequence() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        let labels = ["download", "align", "merge"]
        for label in labels { job.report("t", label: label, total: 100, at: 0) }
        for (number, label) in labels.enumerated() {
            for second in 1...100 { job.report("t", label: label, done: 1, at: Double(100 * number + second)) }
        }
        try expect(job, at: [60.2, 120.2, 180.2, 240.2], end: 300, within: 1.4)
        try expect(job, at: [285.2], end: 300, within: 1.6)
    }

    @Test("labels by turns add up", arguments: [2, 10, 50])
    func turns(labels: Int) throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        for label in 0..<labels { job.report("t", label: "l\(label)", total: Int64(300 / labels), at: 0) }
        for second in 0..<300 { job.report("t", label: "l\(second % labels)", done: 1, at: Double(second + 1)) }
        try expect(job, at: [60.2, 120.2, 240.2], end: 300)
    }

    @Test("workers that go through all labels share what is left, also of labels not begun yet")
    func workers() throws {
        var job = EstimateScenario()
        let labels = ["d", "a", "m"]
        for label in labels { job.plan(400, label: label) }
        for worker in 0..<4 {
            job.begin("w\(worker)", at: 0)
            for (number, label) in labels.enumerated() {
                for second in 1...100 {
                    job.report(
                        "w\(worker)", label: label, done: 1, at: Double(100 * number + second) + 0.1 * Double(worker))
                }
            }
        }
        try expect(job, at: [60.5, 150.5, 240.5], end: 300.3, within: 1.5)
    }

    /// The ends of the first attempt.
    enum End: CaseIterable {
        case superseded, failed, canceled
    }

    @Test("a retry is as fast as the attempt before it", arguments: End.allCases, [1.0, 3_600])
    func retry(end: End, unit: Double) throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        job.report("t", total: 100, at: 0)
        for number in 1...10 { job.report("t", done: 1, at: unit * Double(number)) }
        let start = 12 * unit
        switch end {
        case .superseded: break
        case .failed: job.end("t", .failed, at: 11 * unit)
        case .canceled: job.end("t", .canceled, at: 11 * unit)
        }
        // A failed task is expected to be repeated.
        if end == .failed { try expect(job, at: [11.5 * unit], end: start + 100 * unit, within: 1.6) }
        job.begin("t", attempt: 2, at: start)
        job.report("t", attempt: 2, total: 100, at: start)
        for number in 1...100 { job.report("t", attempt: 2, done: 1, at: start + unit * Double(number)) }
        let moments = [0.1, 0.9, 1.1, 10.2, 50.2, 90.2].map { start + $0 * unit }
        try expect(job, at: moments, end: start + 100 * unit, within: 1.65)
    }

    @Test("the first unit shows the pace of an execution that began with its declaration")
    func declaredFirst() throws {
        var job = EstimateScenario()
        job.report("t", total: 100, at: 0)
        for number in 1...100 { job.report("t", done: 1, at: 10 * Double(number)) }
        try expect(job, at: [10.1, 12, 20.1, 105, 505, 905], end: 1_000, within: 1.5)
    }

    @Test("units of any size have a pace", arguments: [1, 1 << 30, (1 << 53) - 1])
    func sizes(unit: Int64) throws {
        var job = EstimateScenario()
        // The pace of each is compared with that of the other.
        for task in ["t", "u"] {
            job.begin(task, at: 0)
            for _ in 0..<500 { job.report(task, total: unit, at: 0) }
            for second in 1...500 { job.report(task, done: unit, at: Double(second)) }
        }
        try expect(job, at: [50.5, 200.5, 450.5], end: 500)
    }

    @Test("a sum beyond 64 bits leaves what the snapshot says")
    func saturation() throws {
        var job = EstimateScenario()
        let unit: Int64 = (1 << 53) - 1
        job.begin("t", at: 0)
        for _ in 0..<3_000 { job.report("t", total: unit, at: 0) }
        for second in 1...3_000 { job.report("t", done: unit, at: Double(second)) }
        try expect(job, at: [1_200.5], end: 3_000, within: 1.5)
    }

    @Test("an execution that was lost after its last unit leaves nothing to wait for")
    func lostAtTheEnd() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        job.report("t", total: 10, at: 0)
        for second in 1...10 { job.report("t", done: 1, at: Double(second)) }
        let soon = try #require(try job.estimate(at: 10.01).remaining)
        #expect(soon.p50 > 0 && soon.p90 < 1)
        #expect(try job.estimate(at: 86_400) == .none(.allDone))
    }

    @Test("a pause inside an execution is forgotten once it goes on")
    func pause() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        job.report("t", total: 100, at: 0)
        for second in 1...30 { job.report("t", done: 1, at: Double(second)) }
        for second in 601...670 { job.report("t", done: 1, at: Double(second)) }
        try expect(job, at: [620.5, 645.5], end: 670, within: 1.4)
    }

    @Test("a steady pace counts more than that of earlier jobs")
    func history() throws {
        func job(seconds: Double) -> EstimateScenario {
            var job = EstimateScenario()
            job.begin("t", at: 0)
            job.report("t", total: 10, at: 0)
            for unit in 1...10 { job.report("t", done: 1, at: Double(unit) * seconds) }
            job.end("t", at: 10 * seconds)
            job.finish(at: 10 * seconds)
            return job
        }
        let earlier = try #require(try job(seconds: 6).summary().summary)
        let history = EstimateHistory(Array(repeating: earlier, count: 6))
        let early = try #require(try job(seconds: 20).estimate(at: 70, history: history).remaining)
        #expect(early.p90 >= 130)
        try expect(job(seconds: 20), at: [110, 130, 170], end: 200, within: 1.6, history: history)
    }
}
