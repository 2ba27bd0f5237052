import Testing

@testable import ProgressLedgerClient

@Suite("Retry policy")
struct RetryPolicyTests {
    private let policy = RetryPolicy(patience: .seconds(10))

    private func pause(
        _ failure: RetryPolicy.Failure, tries: Int = 1, elapsed: Duration = .zero, isSafe: Bool = false,
        chance: Double = 0
    ) -> Duration? {
        policy.pause(after: failure, tries: tries, elapsed: elapsed, isSafeToRepeat: isSafe, chance: chance)
    }

    @Test("every request that the server did not take is sent again")
    func refusedRequestsAreRepeated() {
        #expect(pause(.nothingWasTaken(retryAfter: nil)) != nil)
    }

    @Test("a request with an unknown outcome is sent again only if that is safe")
    func unknownOutcomesAreRepeatedIfSafe() {
        #expect(pause(.outcomeUnknown(retryAfter: nil), isSafe: false) == nil)
        #expect(pause(.outcomeUnknown(retryAfter: nil), isSafe: true) != nil)
    }

    @Test("a request that would fail again is not sent again")
    func finalFailuresAreNotRepeated() {
        #expect(pause(.final, isSafe: true) == nil)
    }

    @Test("pauses double up to their limit and are random between half and whole")
    func pausesGrow() {
        let least = (1...8).map { pause(.nothingWasTaken(retryAfter: nil), tries: $0) }
        #expect(least == [25, 50, 100, 200, 400, 800, 1_000, 1_000].map { .milliseconds($0) })
        #expect(pause(.nothingWasTaken(retryAfter: nil), chance: 0.5) == .milliseconds(37.5))
        #expect(pause(.nothingWasTaken(retryAfter: nil), tries: 1_000_000) == .seconds(1))
    }

    @Test("the pause that the server asks for is added")
    func retryAfterIsObeyed() {
        #expect(pause(.nothingWasTaken(retryAfter: .seconds(3))) == .milliseconds(3_025))
        #expect(pause(.outcomeUnknown(retryAfter: .seconds(3)), isSafe: true) == .milliseconds(3_025))
    }

    @Test("no repetition begins after the patience has ended")
    func patienceEnds() {
        #expect(pause(.nothingWasTaken(retryAfter: nil), elapsed: .milliseconds(9_975)) != nil)
        #expect(pause(.nothingWasTaken(retryAfter: nil), elapsed: .milliseconds(9_976)) == nil)
        #expect(pause(.nothingWasTaken(retryAfter: .seconds(60))) == nil)
        let none = RetryPolicy(patience: .zero)
        #expect(
            none.pause(
                after: .nothingWasTaken(retryAfter: nil), tries: 1, elapsed: .zero, isSafeToRepeat: true, chance: 0)
                == nil)
    }
}
