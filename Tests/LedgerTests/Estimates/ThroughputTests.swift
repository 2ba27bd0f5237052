import LedgerTestSupport
import Testing

@testable import Ledger

@Suite("The speed of indicators", .ownThread)
struct ThroughputTests {
    private func paces(of job: EstimateScenario, at second: Double) throws -> [Name?: IndicatorPace] {
        let (fold, state) = try job.folded(to: second)
        return state.paces(of: fold.snapshot(), at: EstimateScenario.moment(second))
    }

    @Test("a steady indicator has its rate, and the time of its units left")
    func steady() throws {
        var job = EstimateScenario()
        job.plan(100)
        job.work(tasks: 100, workers: 2) { _ in 4 }
        let pace = try #require(try paces(of: job, at: 100)["tiles"])
        #expect((0.49...0.51).contains(pace.rate), "\(pace)")
        let left = try #require(pace.remainingSeconds)
        #expect((98...104).contains(left), "\(left)")
        #expect(try paces(of: job, at: 3).isEmpty)
    }

    @Test("the rate follows a job that becomes slower, and falls while nothing arrives")
    func slower() throws {
        var job = EstimateScenario()
        job.plan(1_000)
        job.work(tasks: 200, workers: 1, stopAfter: 140) { $0 < 100 ? 1 : 10 }
        let slow = try #require(try paces(of: job, at: 500)["tiles"]).rate
        #expect((0.1...0.15).contains(slow), "\(slow)")
        let later = try #require(try paces(of: job, at: 1_000)["tiles"]).rate
        #expect(later < slow / 3, "\(later)")
    }

    @Test("without a total there is a rate and no remaining time, and none of a job that has ended")
    func unknown() throws {
        var job = EstimateScenario()
        job.work(tasks: 10, workers: 1) { _ in 2 }
        let pace = try #require(try paces(of: job, at: 10)["tiles"])
        #expect(pace.rate > 0 && pace.remainingSeconds == nil)
        job.finish(at: 30)
        #expect(try paces(of: job, at: 30).isEmpty)
    }
}
