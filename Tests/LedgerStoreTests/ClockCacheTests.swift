import LedgerTestSupport
import Testing

@testable import LedgerStore

@Suite("A cache that keeps what is asked for", .ownThread)
struct ClockCacheTests {
    private func finds(_ key: Int, in cache: inout ClockCache<Int, Int>) -> Bool {
        cache.find(key) { _ in true } == key
    }

    @Test("whatever is done, it holds what was put last or nothing, and no more than it may")
    func anything() {
        var chance = SeededGenerator(seed: 11)
        var cache = ClockCache<Int, Int>(costMax: 300)
        var puts: [Int: (value: Int, cost: Int)] = [:]
        for round in 0..<50_000 {
            let key = Int.random(in: 0..<100, using: &chance)
            switch Int.random(in: 0..<10, using: &chance) {
            case 0:
                cache.remove(key)
                puts[key] = nil
                #expect(cache.peek(key) == nil)
            case 1..<5:
                puts[key] = (round, Int.random(in: 1...20, using: &chance))
                cache.put(round, key, cost: puts[key]?.cost ?? 0)
                #expect(cache.peek(key) == round)
            default:
                let found = cache.find(key) { _ in true }
                #expect(found == nil || found == puts[key]?.value)
            }
            #expect(cache.cost <= 300)
            if round % 100 == 0 {
                // What it says that all costs is what that does.
                let held = puts.filter { cache.peek($0.key) != nil }
                #expect(cache.cost == held.values.reduce(0) { $0 + $1.cost })
                #expect(held.allSatisfy { cache.peek($0.key) == $0.value.value })
            }
        }
    }

    @Test("what fits stays, in whichever order it is asked for, and is put anew")
    func keepsAll() {
        var chance = SeededGenerator(seed: 7)
        var cache = ClockCache<Int, Int>(costMax: 100)
        for key in 0..<100 { cache.put(key, key) }
        for _ in 0..<10_000 {
            let key = Int.random(in: 0..<100, using: &chance)
            if Bool.random(using: &chance) { cache.put(key, key) }
            let isThere = finds(key, in: &cache)
            #expect(isThere)
        }
        #expect(cache.cost == 100)
    }

    @Test("of what does not fit, that goes which was not asked for since there was no room the last time")
    func secondChance() {
        var cache = ClockCache<Int, Int>(costMax: 100)
        for key in 0..<100 { cache.put(key, key) }
        for key in stride(from: 0, to: 100, by: 2) { _ = finds(key, in: &cache) }
        // To look is not to ask.
        for key in 0..<100 { #expect(cache.peek(key) == key) }
        for key in 100..<150 { cache.put(key, key) }
        #expect((0..<150).filter { cache.peek($0) != nil } == (0..<150).filter { $0 >= 100 || $0 % 2 == 0 })
    }

    @Test("what is new goes last of what nobody asked for, and never makes room for itself")
    func newest() {
        var cache = ClockCache<Int, Int>(costMax: 100)
        for key in 0..<1_000 {
            cache.put(key, key)
            #expect(cache.peek(key) == key && cache.cost == min(key + 1, 100))
            #expect(key < 100 || cache.peek(key - 99) != nil && cache.peek(key - 100) == nil)
        }
        // All are asked for: each that comes takes the place of one, in the order in which they came.
        for key in 900..<1_000 { _ = finds(key, in: &cache) }
        for key in 1_000..<1_100 {
            cache.put(key, key)
            #expect(cache.peek(key) == key && cache.peek(key - 100) == nil)
        }
    }

    @Test("one that takes more than before does not make room for itself, and what is new not for what is large")
    func sizes() {
        var cache = ClockCache<Int, Int>(costMax: 10)
        cache.put(1, 1, cost: 4)
        cache.put(2, 2, cost: 4)
        _ = finds(2, in: &cache)
        cache.put(9, 1, cost: 7)
        #expect(cache.peek(1) == 9 && cache.peek(2) == nil && cache.cost == 7)
        var row = ClockCache<Int, Int>(costMax: 10)
        for key in 1...10 { row.put(key, key) }
        row.put(11, 11, cost: 2)
        #expect((1...11).filter { row.peek($0) != nil } == Array(3...11))
    }

    @Test("what costs more than all may is not kept, nor what it was to take the place of")
    func tooMuch() {
        var cache = ClockCache<Int, Int>(costMax: 10)
        cache.put(1, 1, cost: 4)
        cache.put(2, 2, cost: 6)
        cache.put(1, 1, cost: 11)
        #expect(cache.peek(1) == nil && cache.peek(2) == 2 && cache.cost == 6)
        cache.put(3, 3, cost: 10)
        #expect(cache.peek(2) == nil && cache.peek(3) == 3 && cache.cost == 10)
    }
}
