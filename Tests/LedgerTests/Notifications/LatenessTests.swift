import Ledger
import Testing

@Suite("Late jobs")
struct LatenessTests {
    private static let start = Timestamp(microseconds: 1_000_000_000_000)

    private static func at(_ seconds: Double) -> Timestamp {
        Timestamp(microseconds: start.microseconds + Int64(seconds * 1e6))
    }

    /// A job after 100 s, with this estimate of the remaining seconds.
    private static func view(p10: Double, p50: Double, state: JobState = .running, hasEstimate: Bool = true) -> JobView
    {
        let snapshot = Snapshot(
            sequence: 2, state: state, createdAt: start, startedAt: start, updatedAt: start, finishedAt: nil,
            tasks: TaskCounts(), indicators: [])
        let estimate = Estimate(
            remaining: Estimate.Remaining(p10: p10, p50: p50, p90: 2 * p50), basis: .job, waitingFor: nil, reason: nil)
        return JobView(
            id: JobID(high: 1, low: 2), description: JobDescription(name: "j"), createdAt: start, ledgerSequence: 2,
            snapshot: snapshot, estimate: hasEstimate ? JobEstimate(estimate, at: at(100)) : nil)
    }

    private static func isLate(_ view: JobView, deadline: Double? = nil, usual: [Double] = []) -> Bool {
        Lateness(view, deadline: deadline.map(at), usual: UsualDuration(seconds: usual), now: at(100)) != nil
    }

    @Test("a job is late before its deadline passes, as soon as its end is expected after it")
    func deadline() {
        #expect(Self.isLate(Self.view(p10: 10, p50: 60), deadline: 150))
        #expect(!Self.isLate(Self.view(p10: 10, p50: 40), deadline: 150))
        #expect(!Self.isLate(Self.view(p10: 10, p50: 60, state: .completed), deadline: 50))
        #expect(Self.isLate(Self.view(p10: 0, p50: 0, hasEstimate: false), deadline: 99), "it has passed")
        #expect(!Self.isLate(Self.view(p10: 0, p50: 0, hasEstimate: false), deadline: 101))
        // With a deadline, the usual duration does not matter.
        #expect(!Self.isLate(Self.view(p10: 900, p50: 900), deadline: 2_000, usual: [10, 10, 10]))
    }

    @Test("without a deadline, a job is late only by a clear margin")
    func usual() {
        let usual = [90.0, 100, 110]
        #expect(Self.isLate(Self.view(p10: 20, p50: 51), usual: usual))
        #expect(!Self.isLate(Self.view(p10: 20, p50: 49), usual: usual), "within the margin")
        #expect(!Self.isLate(Self.view(p10: -1, p50: 51), usual: usual), "an optimistic estimate is on time")
        #expect(!Self.isLate(Self.view(p10: 20, p50: 51), usual: usual + [400]), "another job took longer")
        #expect(!Self.isLate(Self.view(p10: 20, p50: 500), usual: [90, 100]), "too few earlier jobs")
        #expect(!Self.isLate(Self.view(p10: 0, p50: 0, hasEstimate: false), usual: [1, 1, 1]))
    }

    @Test("a finding has one moment, so that it is reported once")
    func since() {
        let deadline = Lateness(Self.view(p10: 9, p50: 60), deadline: Self.at(150), usual: nil, now: Self.at(100))
        #expect(deadline?.since == Self.at(150))
        let usual = UsualDuration(seconds: [1, 1, 1])
        #expect(
            Lateness(Self.view(p10: 9, p50: 60), deadline: nil, usual: usual, now: Self.at(100))?.since == Self.start)
    }

    @Test("the usual duration is the median of the newest jobs")
    func median() {
        #expect(UsualDuration(seconds: [3, 1, 2])?.median == 2)
        #expect(UsualDuration(seconds: [4, 1, 2, 3])?.median == 2.5)
        #expect(UsualDuration(seconds: [4, 1, 2, 3])?.longest == 4)
    }
}
