import Ledger
import LedgerStore

/// Retires jobs and months of a divided ledger.
///
/// All shards export a month before one of them removes it. So if a month cannot be retired in one shard, nothing is
/// removed in any. Interrupted at any point, it can be repeated: each shard continues where it was.
struct ShardedRetirer {
    /// The shards in the order of their numbers.
    let shards: [(number: Int, retirer: Retirer)]

    /// Retires a job in the shard that has it.
    ///
    /// - Returns: The shard, and nil if the job was retired before.
    func retire(_ job: JobID, exportsOnly: Bool) async throws -> (shard: Int, result: Retirer.Result?) {
        for (number, retirer) in shards where try await retirer.store.head(of: job) != nil {
            return (number, try await retirer.retire(job, exportsOnly: exportsOnly))
        }
        throw CommandFailure(.notFound, "There is no job \(job).")
    }

    /// Retires the jobs of a month, and removes their events from all shards.
    ///
    /// - Parameters:
    ///   - drops: Whether the removed tables are deleted.
    ///   - exportsOnly: Whether it stops after the exports.
    ///   - ended: Called when a shard has ended its part.
    /// - Throws: ``CommandFailure`` if the month is not over, or if not all of its jobs in all shards have ended.
    func retire(
        _ month: Month, drops: Bool, exportsOnly: Bool, ended: (_ shard: Int, Retirer.Result) -> Void
    ) async throws {
        var exported: [Int: Retirer.Result] = [:]
        for (number, retirer) in shards {
            exported[number] = try await Self.naming(number) {
                try await retirer.retire(month, drops: drops, exportsOnly: true)
            }
        }
        for (number, retirer) in shards {
            var result = exported[number] ?? Retirer.Result()
            if !exportsOnly {
                let rest = try await Self.naming(number) {
                    try await retirer.retire(month, drops: drops, exportsOnly: false)
                }
                result.jobs += rest.jobs
                let paths = Set(result.files.map(\.path))
                result.files += rest.files.filter { !paths.contains($0.path) }
            }
            ended(number, result)
        }
    }

    /// The months with a table of events in any shard, in order.
    func months() async throws -> [Month] {
        var months: Set<Month> = []
        for (_, retirer) in shards { months.formUnion(try await retirer.store.months()) }
        return months.sorted()
    }

    /// Adds the shard to the text of a failure.
    private static func naming<R>(_ shard: Int, _ body: () async throws -> R) async throws -> R {
        do { return try await body() } catch let failure as CommandFailure {
            throw CommandFailure(failure.status, "Shard \(shard): \(failure.description)")
        }
    }
}
