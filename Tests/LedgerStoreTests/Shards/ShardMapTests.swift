import Ledger
import Testing

@testable import LedgerStore

@Suite("The map of the shards")
struct ShardMapTests {
    private static func version(_ number: Int64, _ owners: [Int], since: Int64) -> ShardMap.Version {
        ShardMap.Version(number: number, owners: owners, since: Timestamp(microseconds: since))
    }

    private static func job(_ slot: Int, createdAt microseconds: Int64) -> JobID {
        JobID(
            createdAt: Timestamp(microseconds: microseconds), randomHigh: .random(in: 0 ... .max),
            randomLow: ShardMap.randomLow(in: slot))
    }

    @Test("the slot of a job is the one for which its id was made")
    func slotsOfJobs() {
        for slot in 0..<ShardMap.slotCount {
            #expect(ShardMap.slot(of: Self.job(slot, createdAt: 1_700_000_000_000_000)) == slot)
        }
        // Ids that were made without a map fall into all slots.
        let slots = (0..<20_000).map { _ in
            ShardMap.slot(
                of: JobID(createdAt: .now, randomHigh: .random(in: 0 ... .max), randomLow: .random(in: 0 ... .max)))
        }
        #expect(Set(slots).count > 1_000)
    }

    @Test("the slot of a key never changes: it is the first ten bits of its SHA-256")
    func slotsOfKeys() {
        // The SHA-256 of "a" begins with 0xCA97.
        #expect(ShardMap.slot(of: "a") == 0b11_0010_1010)
        #expect(Set((0..<20_000).map { ShardMap.slot(of: Name("key \($0)")) }).count > 1_000)
    }

    @Test("added shards get equal parts, and the others give up no more than that", arguments: [1, 2, 3, 7, 32, 256])
    func adding(count: Int) {
        let first = ShardMap.owners(adding: Array(0..<count), to: nil)
        let sizes = Dictionary(grouping: first, by: { $0 }).mapValues(\.count)
        #expect(Set(sizes.keys) == Set(0..<count))
        #expect((sizes.values.max() ?? 0) - (sizes.values.min() ?? 0) <= 1)
        guard count < 256 else { return }
        let second = ShardMap.owners(adding: [count], to: first)
        let later = Dictionary(grouping: second, by: { $0 }).mapValues(\.count)
        #expect((later.values.max() ?? 0) - (later.values.min() ?? 0) <= 1)
        let moved = zip(first, second).filter { $0 != $1 }
        #expect(moved.allSatisfy { $0.1 == count }, "slots move to the new shard only")
        #expect(moved.count == later[count])
    }

    @Test("a drained shard gives all its slots to the others, and the last one cannot be drained")
    func draining() throws {
        let owners = ShardMap.owners(adding: [0, 1, 2], to: nil)
        let rest = try #require(ShardMap.owners(draining: 1, of: owners))
        #expect(Set(rest) == [0, 2])
        #expect(zip(owners, rest).allSatisfy { $0 == $1 || $0 == 1 })
        #expect(ShardMap.owners(draining: 0, of: Array(repeating: 0, count: ShardMap.slotCount)) == nil)
    }

    @Test("a job is looked for first where its slot was when it was created, then in all other owners")
    func owners() {
        let count = ShardMap.slotCount
        let map = ShardMap(versions: [
            Self.version(0, Array(repeating: 0, count: count), since: 0),
            Self.version(1, Array(repeating: 1, count: count), since: 1_000_000),
            Self.version(2, Array(repeating: 2, count: count), since: 2_000_000),
            Self.version(3, Array(repeating: 1, count: count), since: 3_000_000),
        ])
        #expect(map.owners(of: Self.job(5, createdAt: 500_000)) == [0, 1, 2])
        #expect(map.owners(of: Self.job(5, createdAt: 1_500_000)) == [1, 2, 0])
        #expect(map.owners(of: Self.job(5, createdAt: 2_500_000)) == [2, 1, 0])
        #expect(map.owners(of: Self.job(5, createdAt: 9_000_000)) == [1, 2, 0])
        #expect(map.owners(of: "key") == [1, 2, 0])
        #expect(map.shards == [0, 1, 2])
    }
}
