import Ledger
import LedgerChain
import LedgerTestSupport
import Testing

@testable import LedgerStore

@Suite("The cache of job heads", .ownThread)
struct HeadCacheTests {
    private static let clock = Timestamp(microseconds: 1_790_000_000_000_000)

    private static func request(_ job: JobID) -> AppendRequest {
        AppendRequest(parts: [AppendRequest.Part(job: job, drafts: [])])
    }

    private static func head(_ sequence: EventSequence) -> JobHead {
        JobHead(sequence: sequence, recordedAt: clock, chain: HashChain(job: JobID(high: 0, low: 0)))
    }

    @Test("a job that is written to often stays cached; others are evicted in the end")
    func manyJobs() {
        var cache = HeadCache()
        let busy = JobID(high: 1, low: 0)
        for number: UInt64 in 1...110_000 {
            if number % 1_000 == 0 { cache.store([(busy, Self.head(EventSequence(Int64(number))))], clock: Self.clock) }
            cache.store([(JobID(high: 2, low: number), Self.head(1))], clock: Self.clock)
        }
        #expect(cache.cached([Self.request(busy)])?.heads[busy]?.sequence == 110_000)
        #expect(cache.cached([Self.request(JobID(high: 2, low: 110_000))]) != nil)
        #expect(cache.cached([Self.request(JobID(high: 2, low: 1))]) == nil)
    }

    @Test("a hundred thousand jobs fit, whatever the order of writes")
    func hundredThousand() {
        var cache = HeadCache()
        for number: UInt64 in 0..<100_000 {
            cache.store([(JobID(high: 2, low: number), Self.head(1))], clock: Self.clock)
        }
        // Each job of the second half is stored twice; as many new jobs would evict others.
        for number: UInt64 in 0..<100_000 {
            cache.store([(JobID(high: 2, low: 50_000 + number / 2), Self.head(2))], clock: Self.clock)
        }
        let uncached = (UInt64(0)..<100_000).filter { cache.cached([Self.request(JobID(high: 2, low: $0))]) == nil }
        #expect(uncached.isEmpty)
    }

    @Test("a head that was read earlier replaces neither a cached head nor the mark of a shared job")
    func storesUnlessCached() {
        var cache = HeadCache()
        let (written, shared, new) = (JobID(high: 1, low: 0), JobID(high: 1, low: 1), JobID(high: 1, low: 2))
        cache.store([(written, Self.head(9))], clock: Self.clock)
        cache.markShared([shared])
        cache.storeUnlessCached([written: Self.head(5), shared: Self.head(5), new: Self.head(5)], clock: Self.clock)
        #expect(cache.cached([Self.request(written)])?.heads[written]?.sequence == 9)
        #expect(cache.cached([Self.request(shared)]) == nil)
        #expect(cache.cached([Self.request(new)])?.heads[new]?.sequence == 5)
    }

    @Test("an invalidated or shared job is not cached")
    func invalidates() {
        var cache = HeadCache()
        let job = JobID(high: 1, low: 0)
        cache.store([(job, Self.head(5))], clock: Self.clock)
        #expect(cache.cached([Self.request(job)]) != nil)
        cache.invalidate([Self.request(job)])
        #expect(cache.cached([Self.request(job)]) == nil)
        cache.store([(job, Self.head(6))], clock: Self.clock)
        cache.markShared([job])
        cache.store([(job, Self.head(7))], clock: Self.clock)
        #expect(cache.cached([Self.request(job)]) == nil)
    }

    @Test("a shared job is cached again after the pause, by the given time")
    func sharedPauseEnds() {
        var cache = HeadCache()
        let job = JobID(high: 1, low: 0)
        cache.markShared([job], now: HeadCache.start)
        for (elapsed, isCached) in [
            (Duration.zero, false), (HeadCache.sharedFor - .nanoseconds(1), false), (HeadCache.sharedFor, true),
        ] {
            let now = HeadCache.start + elapsed
            cache.store([(job, Self.head(6))], clock: Self.clock, readAt: now, now: now)
            #expect((cache.cached([Self.request(job)], now: now) != nil) == isCached, "\(elapsed)")
        }
    }

    @Test("the age of a reading is added to the database time, until the reading is too old")
    func readingAges() {
        var cache = HeadCache()
        let job = JobID(high: 1, low: 0)
        cache.store([(job, Self.head(6))], clock: Self.clock, readAt: HeadCache.start, now: HeadCache.start)
        let ages: [(Duration, Int64?)] = [
            (.zero, 0), (.microseconds(1_500_000), 1_500_000),
            (HeadCache.readingAgeMax - .microseconds(1), 9_999_999), (HeadCache.readingAgeMax, nil),
        ]
        for (age, microseconds) in ages {
            let cached = cache.cached([Self.request(job)], now: HeadCache.start + age)
            let expected = microseconds.map { Timestamp(microseconds: Self.clock.microseconds + $0) }
            #expect(cached?.clock == expected, "\(age)")
        }
        cache.invalidateClock()
        #expect(cache.cached([Self.request(job)], now: HeadCache.start) == nil)
    }
}

/// Variants at one instant, for tests in which no time passes.
extension HeadCache {
    fileprivate static let start = ContinuousClock.now

    fileprivate func cached(_ requests: [AppendRequest]) -> (heads: [JobID: JobHead], clock: Timestamp)? {
        cached(requests, now: Self.start)
    }

    fileprivate mutating func store(_ heads: [(job: JobID, head: JobHead)], clock: Timestamp) {
        store(heads, clock: clock, readAt: Self.start, now: Self.start)
    }

    fileprivate mutating func storeUnlessCached(_ heads: [JobID: JobHead], clock: Timestamp) {
        storeUnlessCached(heads, clock: clock, readAt: Self.start, now: Self.start)
    }

    fileprivate mutating func markShared(_ jobs: [JobID]) { markShared(jobs, now: Self.start) }
}
