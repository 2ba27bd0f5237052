import Ledger
import Testing

@Suite("Status of indicators and percentage of jobs")
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

    @Test("an indicator has the status that its units imply, or is stalled")
    func statuses() {
        func status(_ done: Int128, _ total: Int128, isStalled: Bool = false) -> Snapshot.Indicator.Status {
            Self.indicator(done, total).status(isStalled: isStalled)
        }
        #expect(status(0, 0) == .empty)
        #expect(status(3, 0) == .unknown)
        #expect(status(0, 4) == .waiting)
        #expect(status(3, 4) == .moving)
        #expect(status(3, 4, isStalled: true) == .stalled)
        #expect(status(4, 4, isStalled: true) == .complete)
        #expect(status(5, 4) == .over)
    }

    @Test("the percentage of a job is rounded down, and a running job never shows 100")
    func percents() {
        #expect(Self.percent(.running, []) == nil)
        #expect(Self.percent(.running, [Self.indicator(999, 1_000)]) == 99)
        #expect(Self.percent(.completed, [Self.indicator(999, 1_000)]) == 99)
        #expect(Self.percent(.running, [Self.indicator(4, 4)]) == 99)
        #expect(Self.percent(.completed, [Self.indicator(4, 4)]) == 100)
        // An indicator above its total does not compensate for another one.
        #expect(Self.percent(.running, [Self.indicator(40, 4), Self.indicator(0, 4)]) == 50)
        // An indicator without a total counts as 0, and is left out when the job has ended.
        #expect(Self.percent(.running, [Self.indicator(4, 4), Self.indicator(0, 0)]) == 50)
        #expect(Self.percent(.completed, [Self.indicator(4, 4), Self.indicator(0, 0)]) == 100)
        #expect(Self.percent(.completed, [Self.indicator(0, 0)]) == nil)
        let huge = Int128(1) << 115
        #expect(Self.percent(.failed, [Self.indicator(huge / 2, huge)]) == 50)
    }
}
