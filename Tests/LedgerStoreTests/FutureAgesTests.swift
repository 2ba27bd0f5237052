import Ledger
import Testing

@testable import LedgerStore

@Suite("Ages of events from the future")
struct FutureAgesTests {
    @Test("the age of a job grows until it moves or catches up")
    func ages() {
        let ages = FutureAges()
        let (first, second) = (JobID(high: 0, low: 1), JobID(high: 0, low: 2))
        let start = ContinuousClock.now
        #expect(ages.oldest(of: [:], now: start) == 0)
        #expect(ages.oldest(of: [first: 5], now: start) == 0)
        #expect(ages.oldest(of: [first: 5, second: 1], now: start + .seconds(40)) == 40)
        // The first job has moved, so the second one is the oldest now.
        #expect(ages.oldest(of: [first: 6, second: 1], now: start + .seconds(50)) == 10)
        #expect(ages.oldest(of: [first: 6], now: start + .seconds(60)) == 10)
        #expect(ages.oldest(of: [:], now: start + .seconds(70)) == 0)
        #expect(ages.oldest(of: [first: 6], now: start + .seconds(80)) == 0)
    }
}
