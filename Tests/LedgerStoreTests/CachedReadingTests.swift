import LedgerTestSupport
import PQ
import Synchronization
import Testing

@testable import LedgerStore

@Suite("Cached readings")
struct CachedReadingTests {
    @Test("a value is read again once it has its maximum age, and not before")
    func ages() async throws {
        let clock = StoppedClock()
        let count = Mutex(0)
        let reading = CachedReading(ageMax: .seconds(2), now: { clock.now }) { () async throws(PQError) in
            count.withLock { count in
                count += 1
                return count
            }
        }
        #expect(try await reading.value() == 1)
        clock.move(by: .milliseconds(1_999))
        #expect(try await reading.value() == 1)
        clock.move(by: .milliseconds(1))
        #expect(try await reading.value() == 2)
        #expect(try await reading.value() == 2)
    }
}
