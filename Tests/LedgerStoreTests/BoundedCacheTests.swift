import LedgerTestSupport
import Testing

@testable import LedgerStore

@Suite("A cache with CLOCK eviction", .ownThread)
struct BoundedCacheTests {
    private func finds(_ key: Int, in cache: inout BoundedCache<Int, Int>) -> Bool {
        cache.find(key) { _ in true } == key
    }

    @Test("random operations find the last value of a key or none, within the budget")
    func randomOperations() {
        var random = SeededGenerator(seed: 11)
        var cache = BoundedCache<Int, Int>(costMax: 300)
        var puts: [Int: (value: Int, cost: Int)] = [:]
        for round in 0..<50_000 {
            let key = Int.random(in: 0..<100, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                cache.remove(key)
                puts[key] = nil
                #expect(cache.peek(key) == nil)
            case 1..<5:
                puts[key] = (round, Int.random(in: 1...20, using: &random))
                cache.put(round, key, cost: puts[key]?.cost ?? 0)
                #expect(cache.peek(key) == round)
            default:
                let found = cache.find(key) { _ in true }
                #expect(found == nil || found == puts[key]?.value)
            }
            #expect(cache.cost <= 300)
            if round % 100 == 0 {
                // The reported cost is the sum of the costs of all entries.
                let cached = puts.filter { cache.peek($0.key) != nil }
                #expect(cache.cost == cached.values.reduce(0) { $0 + $1.cost })
                #expect(cached.allSatisfy { cache.peek($0.key) == $0.value.value })
            }
        }
    }

    @Test("entries that fit stay, whatever the order of uses and replacements")
    func keepsAll() {
        var random = SeededGenerator(seed: 7)
        var cache = BoundedCache<Int, Int>(costMax: 100)
        for key in 0..<100 { cache.put(key, key) }
        for _ in 0..<10_000 {
            let key = Int.random(in: 0..<100, using: &random)
            if Bool.random(using: &random) { cache.put(key, key) }
            let isFound = finds(key, in: &cache)
            #expect(isFound)
        }
        #expect(cache.cost == 100)
    }

    @Test("a full cache evicts the entries that were not used since the last eviction")
    func secondChance() {
        var cache = BoundedCache<Int, Int>(costMax: 100)
        for key in 0..<100 { cache.put(key, key) }
        for key in stride(from: 0, to: 100, by: 2) { _ = finds(key, in: &cache) }
        // Peeking does not count as a use.
        for key in 0..<100 { #expect(cache.peek(key) == key) }
        for key in 100..<150 { cache.put(key, key) }
        #expect((0..<150).filter { cache.peek($0) != nil } == (0..<150).filter { $0 >= 100 || $0 % 2 == 0 })
    }

    @Test("a new entry is the last of the unused ones to be evicted, and never evicts itself")
    func newest() {
        var cache = BoundedCache<Int, Int>(costMax: 100)
        for key in 0..<1_000 {
            cache.put(key, key)
            #expect(cache.peek(key) == key && cache.cost == min(key + 1, 100))
            #expect(key < 100 || cache.peek(key - 99) != nil && cache.peek(key - 100) == nil)
        }
        // All entries are used, so new ones replace them in the order of their insertion.
        for key in 900..<1_000 { _ = finds(key, in: &cache) }
        for key in 1_000..<1_100 {
            cache.put(key, key)
            #expect(cache.peek(key) == key && cache.peek(key - 100) == nil)
        }
    }

    @Test("a growing entry does not evict itself, and a large entry does not evict new ones")
    func sizes() {
        var cache = BoundedCache<Int, Int>(costMax: 10)
        cache.put(1, 1, cost: 4)
        cache.put(2, 2, cost: 4)
        _ = finds(2, in: &cache)
        cache.put(9, 1, cost: 7)
        #expect(cache.peek(1) == 9 && cache.peek(2) == nil && cache.cost == 7)
        var full = BoundedCache<Int, Int>(costMax: 10)
        for key in 1...10 { full.put(key, key) }
        full.put(11, 11, cost: 2)
        #expect((1...11).filter { full.peek($0) != nil } == Array(3...11))
    }

    @Test("a value that exceeds the budget is not stored, and removes the older value of its key")
    func exceedsBudget() {
        var cache = BoundedCache<Int, Int>(costMax: 10)
        cache.put(1, 1, cost: 4)
        cache.put(2, 2, cost: 6)
        cache.put(1, 1, cost: 11)
        #expect(cache.peek(1) == nil && cache.peek(2) == 2 && cache.cost == 6)
        cache.put(3, 3, cost: 10)
        #expect(cache.peek(2) == nil && cache.peek(3) == 3 && cache.cost == 10)
    }
}
