internal import Crypto
public import Ledger

/// The shard of the new jobs of each slot.
///
/// A job's slot is a part of its id, so the id alone tells in which shards the job can be. A job with a key gets an id
/// with the slot of the key, so the key alone tells too.
///
/// Another version of the map concerns only jobs that are created later. All versions are kept: a job stays in the
/// shard that owned its slot when the job was created, unless it was moved.
public struct ShardMap: Hashable, Sendable {
    /// The number of slots.
    public static let slotCount = 1_024
    /// The maximum number of shards.
    public static let shardsMax = 256

    /// One version of the map.
    public struct Version: Hashable, Sendable {
        /// The number of the version, from 1.
        ///
        /// Version 0 owns the jobs of shard 0 from before the ledger was divided.
        public var number: Int64
        /// The shard of each slot.
        public var owners: [Int]
        /// The time from which the version holds.
        ///
        /// Clocks of servers differ, so it only tells where to look for a job first.
        public var since: Timestamp

        public init(number: Int64, owners: [Int], since: Timestamp) {
            precondition(owners.count == ShardMap.slotCount, "a map has \(ShardMap.slotCount) slots")
            self.number = number
            self.owners = owners
            self.since = since
        }
    }

    /// All versions, the present one last.
    public let versions: [Version]

    /// - Parameter versions: One or more versions, in ascending order.
    public init(versions: [Version]) {
        precondition(!versions.isEmpty, "a map has a version")
        self.versions = versions
    }

    /// The present version.
    public var current: Version { versions[versions.count - 1] }

    /// All shards that have ever owned a slot, in ascending order.
    public var shards: [Int] { Set(versions.flatMap(\.owners)).sorted() }

    // MARK: Slots

    /// The slot of a job: ten of the random bits of its id.
    public static func slot(of job: JobID) -> Int { Int(job.low >> 52 & 0x3FF) }

    /// The slot of a key: the first ten bits of its SHA-256.
    public static func slot(of key: Name) -> Int {
        let digest = Array(SHA256.hash(data: Array(key.text.utf8)))
        return Int(digest[0]) << 2 | Int(digest[1] >> 6)
    }

    /// Random bits for the id of a new job in a slot.
    static func randomLow(in slot: Int) -> UInt64 {
        UInt64.random(in: 0..<1 << 52) | UInt64(slot) << 52
    }

    // MARK: Owners

    /// The shard of new jobs in a slot.
    public func owner(of slot: Int) -> Int { current.owners[slot] }

    /// The shards in which a job can be, the most probable one first.
    public func owners(of job: JobID) -> [Int] {
        let slot = Self.slot(of: job)
        let createdAt = Int64(job.high >> 16) * 1_000
        let atCreation = versions.last { $0.since.microseconds <= createdAt } ?? versions[0]
        return Self.unique([atCreation.owners[slot]] + versions.reversed().map { $0.owners[slot] })
    }

    /// The shards in which a job with a key can be, the owner of its slot first.
    public func owners(of key: Name) -> [Int] {
        let slot = Self.slot(of: key)
        return Self.unique(versions.reversed().map { $0.owners[slot] })
    }

    private static func unique(_ shards: [Int]) -> [Int] {
        var seen: Set<Int> = []
        return shards.filter { seen.insert($0).inserted }
    }

    // MARK: Changes

    /// The owners after these shards were added.
    ///
    /// Each shard has the same number of slots, or one more.
    /// The other shards give up no more slots than needed.
    public static func owners(adding added: [Int], to owners: [Int]?) -> [Int] {
        let present = owners ?? Array(repeating: added[0], count: slotCount)
        return balanced(present, among: Set(present + added).sorted())
    }

    /// The owners after a shard was drained; nil if it is the only one.
    public static func owners(draining shard: Int, of owners: [Int]) -> [Int]? {
        let rest = Set(owners).subtracting([shard]).sorted()
        return rest.isEmpty ? nil : balanced(owners, among: rest)
    }

    private static func balanced(_ present: [Int], among shards: [Int]) -> [Int] {
        var free = Dictionary(
            uniqueKeysWithValues: shards.enumerated().map { index, shard in
                (shard, slotCount / shards.count + (index < slotCount % shards.count ? 1 : 0))
            })
        var owners: [Int?] = present.map { shard in
            guard let rest = free[shard], rest > 0 else { return nil }
            free[shard] = rest - 1
            return shard
        }
        for slot in owners.indices where owners[slot] == nil {
            // The shard with the most room gets the slot, so that neighbors get different shards.
            guard let next = shards.max(by: { (free[$0] ?? 0, $1) < (free[$1] ?? 0, $0) }) else { break }
            owners[slot] = next
            free[next, default: 0] -= 1
        }
        return owners.map { $0 ?? shards[0] }
    }
}
