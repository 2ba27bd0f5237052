import Ledger
import LedgerTestSupport
import Testing

@Suite("Silent executions", .ownThread)
struct SilenceTests {
    @Test("an execution that nothing is known about is silent after five minutes")
    func unknown() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        #expect(try job.silent(at: 299).isEmpty)
        #expect(try job.silent(at: 301) == ["t"])
        #expect(try job.stalls(at: 301).silentCount == 1)
    }

    @Test("a job that declares units and sends nothing more is silent")
    func declaredOnly() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        job.report("t", total: 100, at: 1)
        #expect(try job.silent(at: 300).isEmpty)
        #expect(try job.silent(at: 302) == ["t"])
    }

    @Test("a lease decides alone, above and below all patterns")
    func lease() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        #expect(try job.silent(at: 3, lease: 2) == ["t"])
        #expect(try job.silent(at: 2, lease: 2).isEmpty)
        #expect(try job.silent(at: 3_600, lease: 7_200).isEmpty)
        for second in 1...50 { job.report("t", done: 1, at: Double(second) * 60) }
        #expect(try job.silent(at: 3_011, lease: 10) == ["t"])
        #expect(try job.silent(at: 3_011).isEmpty)
    }

    @Test("an invalid lease is ignored", arguments: ["", "0", "x", "31536001", "1.5"])
    func invalidLease(text: String) {
        #expect(JobDescription(name: "n", tags: [JobDescription.leaseTag: Name(text)]).leaseSeconds == nil)
    }

    @Test("an execution is measured by its own reports", arguments: [30.0, 600])
    func ownPattern(interval: Double) throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        for number in 1...20 { job.report("t", total: number == 1 ? 100 : nil, done: 1, at: Double(number) * interval) }
        let last = 20 * interval
        #expect(try job.silent(at: last + 2 * interval).isEmpty)
        #expect(try job.silent(at: last + 4 * interval) == ["t"])
    }

    @Test("heartbeats end silence: an empty report, and a repeated start")
    func heartbeats() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        job.begin("u", at: 0)
        #expect(try job.silent(at: 400) == ["t", "u"])
        job.begin("t", at: 400)
        job.report("u", at: 400)
        #expect(try job.silent(at: 401).isEmpty)
        #expect(try job.silent(at: 801) == ["t", "u"])
    }

    @Test("a client's execution is silent 90 to 135 s after its last heartbeat")
    func clients() throws {
        var job = EstimateScenario()
        for second in stride(from: 0.0, through: 1_800, by: 30) { job.begin("t", at: second) }
        #expect(try job.silent(at: 1_889).isEmpty)
        #expect(try job.silent(at: 1_935) == ["t"])
    }

    @Test("frequent reports make no execution silent before a client would repeat its start")
    func shortest() throws {
        var job = EstimateScenario()
        job.begin("t", at: 0)
        for number in 1...100 { job.report("t", done: 1, at: Double(number) * 0.1) }
        #expect(try job.silent(at: 54).isEmpty)
        #expect(try job.silent(at: 56) == ["t"])
    }

    /// A job with tasks of an hour on a label, of which one is lost.
    private static func longTasks(label: String = "tiles", lost: String = "tiles") -> EstimateScenario {
        var job = EstimateScenario()
        job.plan(100, label: label)
        job.work(tasks: 10, workers: 2, label: label) { _ in 3_600 }
        if lost != label { job.report("root", label: lost, total: 10, at: 0) }
        job.begin("lost", at: 18_000)
        job.report("lost", label: lost, done: 1, at: 18_000)
        return job
    }

    @Test("without a pattern it is measured by executions of the same label, then of the same stem")
    func labels() throws {
        #expect(try !Self.longTasks().silent(at: 18_000 + 3_600).contains("lost"))
        #expect(try Self.longTasks().silent(at: 18_000 + 5 * 3_600).contains("lost"))
        let stems = Self.longTasks(label: "align_017", lost: "align_018")
        #expect(try !stems.silent(at: 18_000 + 3_600).contains("lost"))
        let other = Self.longTasks(label: "align_017", lost: "merge")
        #expect(try other.silent(at: 18_000 + 301).contains("lost"))
    }

    @Test("then by executions of the same label in earlier jobs")
    func history() throws {
        var night = EstimateScenario()
        night.plan(10)
        let end = night.work(tasks: 10, workers: 2) { _ in 3_600 }
        night.finish(at: end)
        let history = EstimateHistory([try #require(try night.summary().summary)])
        var job = EstimateScenario()
        job.plan(10)
        job.begin("t", at: 0)
        #expect(try job.silent(at: 3_600, history: history).isEmpty)
        #expect(try job.silent(at: 3_600).contains("t"))
        #expect(try job.silent(at: 6 * 3_600, history: history).contains("t"))
    }

    @Test("an execution that plans the work of others is as silent as the whole job")
    func planners() throws {
        var job = EstimateScenario()
        job.plan(100)
        let end = job.work(tasks: 50, workers: 1) { _ in 60 }
        #expect(try job.silent(at: end).isEmpty)
        #expect(try job.silent(at: end + 301) == ["root"])
    }

    @Test("ended, superseded and abandoned executions are not silent")
    func notSilent() throws {
        var job = EstimateScenario()
        job.begin("a", at: 0)
        job.end("a", at: 1)
        job.begin("b", at: 0)
        job.begin("b", attempt: 2, at: 5_000)
        #expect(try job.silent(at: 5_001).isEmpty)
        job.finish(.failed, at: 5_002)
        #expect(try job.silent(at: 1e6).isEmpty)
    }

    @Test("executions that never end, because no ends are reported, are not silent")
    func progressOnly() throws {
        var job = EstimateScenario()
        for number in 0..<50 {
            job.report("t\(number)", total: 1, done: 1, at: Double(number))
        }
        #expect(try job.silent(at: 1e5).isEmpty)
    }

    @Test("of more than 512 running executions, the others are judged by their last events")
    func untracked() throws {
        var job = EstimateScenario()
        for number in 0..<600 { job.begin("t\(number)", at: 0) }
        let (fold, state) = try job.folded(to: 1)
        let silence = StallDetector(state, fold.snapshot(), of: JobDescription(name: "n"), history: nil)
            .silence(at: EstimateScenario.moment(400))
        #expect(!silence.isComplete && silence.executions.count == 512)
        let tasks = fold.taskSummaries(TaskFilter(onlySilent: true), silence: silence, limit: 1_000).tasks
        #expect(tasks.count == 600)
    }

    @Test("a summary of an earlier version has no times of silence")
    func olderSummaries() throws {
        var job = EstimateScenario()
        job.plan(4)
        job.finish(at: job.work(tasks: 4, workers: 1) { _ in 60 })
        let bytes = try #require(try job.summary().summary).encoded
        // The gap of the job, and the silence of one label.
        let older = try RunSummary(encoded: Array(bytes.dropLast(16)), version: 1)
        #expect(older.encoded.count == bytes.count)
        #expect(throws: FoldStateError.self) { try RunSummary(encoded: Array(bytes.dropLast(16))) }
        #expect(throws: FoldStateError.self) { try RunSummary(encoded: Array(bytes.dropLast(1)), version: 1) }
    }
}
