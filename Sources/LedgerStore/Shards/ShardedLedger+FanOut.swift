internal import AsyncPrimitives
internal import Ledger
internal import Synchronization

/// Operations on all shards at once.
extension ShardedLedger {
    /// The time after which a list is answered without a shard.
    static let fanOutMax: Duration = .seconds(3)
    /// The time for which a shard that did not answer is left out of lists.
    static let awayFor: Duration = .seconds(2)

    /// Runs an operation on these shards at the same time.
    ///
    /// - Returns: The results in the order of the shards' numbers.
    static func fanOut<R: Sendable>(
        _ shards: [Int: PostgresLedger], within limit: Duration? = nil,
        _ body: @escaping @Sendable (PostgresLedger) async throws(StoreError) -> R
    ) async -> [(shard: Int, result: Result<R, StoreError>)] {
        await withTaskGroup(of: (Int, Result<R, StoreError>).self) { group in
            for (shard, ledger) in shards {
                group.addTask {
                    let first = FirstResult<R, StoreError>()
                    let work = Task(name: "shard-\(shard)") {
                        do throws(StoreError) { first.end(.success(try await body(ledger))) } catch {
                            first.end(.failure(error))
                        }
                    }
                    let timer = limit.map { limit in
                        Task(name: "shard-limit") {
                            do { try await Task.sleep(for: limit) } catch { return }
                            first.end(
                                .failure(
                                    StoreError(
                                        .unavailable, "it did not answer within \(limit)", retryAfter: .seconds(1))))
                            work.cancel()
                        }
                    }
                    let result = await withTaskCancellationHandler {
                        await first.wait()
                    } onCancel: {
                        work.cancel()
                    }
                    timer?.cancel()
                    return (shard, result)
                }
            }
            var results: [(shard: Int, result: Result<R, StoreError>)] = []
            for await (shard, result) in group { results.append((shard: shard, result: result)) }
            return results.sorted { $0.shard < $1.shard }
        }
    }

    /// Runs an operation on all shards, and fails if one of them does.
    func onAll<R: Sendable>(
        _ body: @escaping @Sendable (PostgresLedger) async throws(StoreError) -> R
    ) async throws(StoreError) -> [(shard: Int, value: R)] {
        var values: [(shard: Int, value: R)] = []
        for (shard, result) in await Self.fanOut(shards, body) {
            do throws(StoreError) { values.append((shard, try result.get())) } catch {
                throw error.naming(shard: shard)
            }
        }
        return values
    }

    /// Runs an operation on all shards that respond.
    ///
    /// - Returns: The values, and the shards that are missing. It fails only if all are missing, or if one of them
    ///   fails for another reason than that it is away.
    func onPresent<R: Sendable>(
        _ body: @escaping @Sendable (PostgresLedger) async throws(StoreError) -> R
    ) async throws(StoreError) -> (values: [R], missing: [Int]) {
        let now = ContinuousClock.now
        let skipped = away.withLock { away in
            let skipped = Set(away.filter { $0.value > now }.keys)
            // This request asks the others again. Requests that come meanwhile do not wait for them.
            for shard in away.keys where !skipped.contains(shard) {
                away[shard] = now + Self.fanOutMax + Self.awayFor
            }
            return skipped
        }
        // If all are said to be away, all are asked.
        let asked = skipped.count < shards.count ? shards.filter { !skipped.contains($0.key) } : shards
        var values: [R] = []
        var missing = shards.keys.filter { asked[$0] == nil }
        var failure: StoreError?
        for (shard, result) in await Self.fanOut(asked, within: Self.fanOutMax, body) {
            do throws(StoreError) {
                values.append(try result.get())
                away.withLock { $0[shard] = nil }
            } catch {
                guard [.unavailable, .overloaded, .outcomeUnknown, .closed].contains(error.code) else {
                    throw error.naming(shard: shard)
                }
                if error.code == .unavailable { away.withLock { $0[shard] = .now + Self.awayFor } }
                failure = error.naming(shard: shard)
                missing.append(shard)
            }
        }
        if values.isEmpty, let failure { throw failure }
        return (values, missing.sorted())
    }
}
