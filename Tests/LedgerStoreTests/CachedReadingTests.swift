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

    @Test("there is one reading at a time, also after one has failed")
    func oneAtATime() async {
        let running = Mutex((now: 0, most: 0))
        let reading = CachedReading<Int>(ageMax: .zero) { () async throws(PQError) in
            running.withLock { running in
                running.now += 1
                running.most = max(running.most, running.now)
            }
            for _ in 1...10 { await Task.yield() }
            running.withLock { $0.now -= 1 }
            throw PQError(.connectionLost, "lost")
        }
        await withDiscardingTaskGroup { group in
            for _ in 1...1_000 { group.addTask { await #expect(throws: PQError.self) { try await reading.value() } } }
        }
        #expect(running.withLock { $0.most } == 1)
    }
}
