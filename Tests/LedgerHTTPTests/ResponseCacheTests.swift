import HTTPTypes
import Ledger
import LedgerStore
import LedgerTestSupport
import Testing

@testable import LedgerHTTP

@Suite("The response cache")
struct ResponseCacheTests {
    private func stamp(_ sequence: EventSequence) -> SnapshotStamp {
        SnapshotStamp(
            ledgerSequence: sequence, head: EventHash(7, 7, 7, 7), sequence: sequence, projection: 1,
            writer: 1)
    }

    private func response(_ bytes: Int) -> LedgerResponse {
        LedgerResponse(
            status: .ok, headers: [.eTag: "W/\"t\""], contentType: "application/json",
            bytes: Array(repeating: 32, count: bytes))
    }

    private func job(_ number: Int) -> JobID { JobID(high: 1, low: UInt64(number)) }

    @Test("a response is found by its own stamp, and a newer one replaces it")
    func stamps() {
        let cache = ResponseCache()
        cache.insert(response(10), of: job(1), stamp(1))
        #expect(cache.response(job(1), stamp(1))?.body.count == 10)
        #expect(cache.response(job(1), stamp(2)) == nil)
        #expect(cache.response(job(2), stamp(1)) == nil)
        cache.insert(response(20), of: job(1), stamp(2))
        #expect(cache.response(job(1), stamp(1)) == nil)
        #expect(cache.response(job(1), stamp(2))?.body.count == 20)
    }

    private static let size = 100_000
    private static let countThatFits = ResponseCache.bytesMax / (size + ResponseCache.overheadBytes)

    private func insert(_ numbers: Range<Int>, in cache: ResponseCache) {
        for number in numbers { cache.insert(response(Self.size), of: job(number), stamp(1)) }
    }

    @Test("used entries stay, unused ones are evicted, and the memory is bounded")
    func bounded() {
        let cache = ResponseCache()
        let count = 5 * Self.countThatFits
        for number in 0..<count {
            insert(number..<number + 1, in: cache)
            #expect(cache.response(job(0), stamp(1)) != nil)
            #expect(cache.byteCount <= ResponseCache.bytesMax)
        }
        #expect(!cache.contains(job(1)))
        #expect(cache.contains(job(count - 1)))
        #expect((0..<count).count { cache.contains(job($0)) } == Self.countThatFits)
    }

    @Test("entries that fit stay, whatever the order of their use")
    func keepsAll() {
        let cache = ResponseCache()
        insert(0..<Self.countThatFits, in: cache)
        var chance = SeededGenerator(seed: 7)
        for _ in 0..<10_000 {
            let number = Int.random(in: 0..<Self.countThatFits, using: &chance)
            #expect(cache.response(job(number), stamp(1)) != nil)
        }
        #expect((0..<Self.countThatFits).allSatisfy { cache.contains(job($0)) })
    }

    @Test("a full cache evicts the entries that were not used since the last eviction")
    func secondChance() {
        let cache = ResponseCache()
        let count = Self.countThatFits
        insert(0..<count, in: cache)
        let kept = stride(from: 0, to: count, by: 2).map { $0 }
        for number in kept { #expect(cache.response(job(number), stamp(1)) != nil) }
        // As many new entries as there are unused ones.
        insert(count..<2 * count - kept.count, in: cache)
        #expect(kept.allSatisfy { cache.contains(job($0)) })
        #expect(!(0..<count).contains { $0 % 2 == 1 && cache.contains(job($0)) })
        #expect((count..<2 * count - kept.count).allSatisfy { cache.contains(job($0)) })
    }

    @Test("an entry that changes often does not evict others")
    func replacing() {
        let cache = ResponseCache()
        cache.insert(response(10), of: job(1), stamp(1))
        for sequence in EventSequence(1)...1_000 { cache.insert(response(100_000), of: job(2), stamp(sequence)) }
        #expect(cache.response(job(1), stamp(1)) != nil)
    }

    @Test("a body is returned as it was inserted")
    func bodies() {
        let cache = ResponseCache()
        for (number, count) in [0, 1, 1_000, 20_000].enumerated() {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ ($0 >> 8)) }
            cache.insert(
                LedgerResponse(
                    status: .ok, headers: [.eTag: "W/\"t\""], contentType: "application/json", bytes: bytes),
                of: job(number), stamp(1))
            #expect(cache.response(job(number), stamp(1))?.body == bytes)
        }
    }

    @Test("a response that is too long is not stored")
    func tooLong() {
        let cache = ResponseCache()
        cache.insert(response(ResponseCache.bodyBytesMax + 1), of: job(1), stamp(1))
        #expect(!cache.contains(job(1)))
    }
}
