import Ledger
import Testing

@Suite("How an indicator and a job stand")
struct ProgressStatusTests {
    private static func indicator(_ done: Int128, _ total: Int128, at seconds: Int64 = 0) -> Snapshot.Indicator {
        let units = Units(total: total, done: done)
        return Snapshot.Indicator(
            label: nil, counted: units, attempted: units, updatedAt: Timestamp(microseconds: seconds * 1_000_000))
    }

    private static func percent(_ state: JobState, _ indicators: [Snapshot.Indicator]) -> Int? {
        Snapshot(
            sequence: 1, state: state, createdAt: nil, startedAt: nil, updatedAt: nil, finishedAt: nil,
            tasks: TaskCounts(), indicators: indicators
        ).percent
    }

    @Test("done above total, no total, nothing at all, waiting, stalled and complete are told apart")
    func standings() {
        let now = Timestamp(microseconds: 61_000_000)
        func standing(_ done: Int128, _ total: Int128, at seconds: Int64 = 0, _ state: JobState = .running)
            -> Snapshot.Indicator.Status
        { Self.indicator(done, total, at: seconds).standing(in: state, at: now) }
        #expect(standing(0, 0) == .empty)
        #expect(standing(3, 0) == .unknown)
        #expect(standing(0, 4) == .waiting)
        #expect(standing(3, 4, at: 1) == .moving)
        #expect(standing(3, 4) == .stalled)
        #expect(standing(3, 4, .failed) == .moving)
        #expect(standing(4, 4) == .complete)
        #expect(standing(5, 4) == .over)
    }

    @Test("the figure of a job is rounded down, and a running one never shows all")
    func percents() {
        #expect(Self.percent(.running, []) == nil)
        #expect(Self.percent(.running, [Self.indicator(999, 1_000)]) == 99)
        #expect(Self.percent(.completed, [Self.indicator(999, 1_000)]) == 99)
        #expect(Self.percent(.running, [Self.indicator(4, 4)]) == 99)
        #expect(Self.percent(.completed, [Self.indicator(4, 4)]) == 100)
        // One that is over does not make up for another that is behind.
        #expect(Self.percent(.running, [Self.indicator(40, 4), Self.indicator(0, 4)]) == 50)
        // One that declares nothing is not begun; when the job has ended it says nothing.
        #expect(Self.percent(.running, [Self.indicator(4, 4), Self.indicator(0, 0)]) == 50)
        #expect(Self.percent(.completed, [Self.indicator(4, 4), Self.indicator(0, 0)]) == 100)
        #expect(Self.percent(.completed, [Self.indicator(0, 0)]) == nil)
        let huge = Int128(1) << 115
        #expect(Self.percent(.failed, [Self.indicator(huge / 2, huge)]) == 50)
    }
}
