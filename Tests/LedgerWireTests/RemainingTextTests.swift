import Ledger
import LedgerWire
import Testing

@Suite("The remaining time in words")
struct RemainingTextTests {
    private static let moment = Timestamp(microseconds: 1_000_000_000)

    private func words(_ p10: Double, _ p50: Double, _ p90: Double, after passed: Int64 = 0) -> String? {
        let remaining = Estimate.Remaining(p10: p10, p50: p50, p90: p90)
        return RemainingText.text(
            JobEstimate(Estimate(remaining: remaining, basis: .job, waitingFor: nil, reason: nil), at: Self.moment),
            now: Timestamp(microseconds: Self.moment.microseconds + passed * 1_000_000))
    }

    @Test("the unit follows from the most likely time")
    func units() {
        #expect(words(0.2, 4.4, 12.6) == "≈ 4 s (0–13)")
        #expect(words(540, 720, 1_200) == "≈ 12 min (9–20)")
        #expect(words(4_000, 9_000, 40_000) == "≈ 2.5 h (1.1–11)")
        #expect(words(86_400, 172_800, 1e15) == "≈ 2 d (1–…)")
    }

    @Test("time that has passed since the estimate is subtracted, and never more than all of it")
    func passes() {
        #expect(words(60, 600, 1_200, after: 300) == "≈ 5 min (0–15)")
        #expect(words(1, 2, 3, after: 100) == "≈ 0 s (0–0)")
    }

    @Test("without a prediction there are no words")
    func none() {
        #expect(RemainingText.text(nil, now: Self.moment) == nil)
        #expect(RemainingText.text(JobEstimate(.none(.totalUnknown), at: Self.moment), now: Self.moment) == nil)
    }
}
