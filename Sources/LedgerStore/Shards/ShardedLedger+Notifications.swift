public import Ledger
internal import Logging

/// Subscriptions, which all shards share: each shard notices its own jobs.
extension ShardedLedger {
    public func createSubscription(
        _ request: SubscriptionRequest, by creator: Name?
    ) async throws(StoreError) -> (subscription: Subscription, secret: WebhookSecret) {
        let secret = request.secret ?? .random()
        guard let id = Subscription.ID(TokenText.random().id.text) else {
            preconditionFailure("the id of a token is one of a subscription")
        }
        do throws(StoreError) {
            let created = try await onAll { (ledger) throws(StoreError) in
                try await ledger.createSubscription(request, id, secret, by: creator)
            }
            guard let subscription = created.first?.value, created.allSatisfy({ $0.value != nil }) else {
                throw StoreError(
                    .conflict,
                    "the ledger has the maximum of \(Limits.subscriptionsMax) subscriptions; remove some")
            }
            // As in a ledger with one database, every later event gets a later time. The subscription is recorded, even
            // if the caller no longer waits.
            do { try await Task.sleep(for: PostgresLedger.acknowledgementPause) } catch {}
            return (subscription, secret)
        } catch {
            // Without all shards it would not notice all jobs, so it is removed from those that have it.
            // Shard 0 is the first, as for any removal.
            for some in [shards.filter { $0.key == 0 }, shards.filter { $0.key != 0 }] {
                _ = await Self.fanOut(some, within: .seconds(5)) { (ledger) throws(StoreError) in
                    try await ledger.removeSubscription(id, within: .unconfined)
                }
            }
            throw error
        }
    }

    /// The time limit of a copy, during which no subscription can be removed.
    private static let copyMax: Duration = .seconds(10)

    /// Copies the subscriptions of shard 0 to the others, of which some may be new.
    ///
    /// Removals begin in shard 0, where they wait for copies in progress. So none is copied after its removal.
    ///
    /// - Parameter willCopy: Called after the subscriptions are read, before they are copied. Tests wait there.
    func copySubscriptions(willCopy: () async -> Void = {}) async {
        do throws(StoreError) {
            try await on(0) { (first) throws(StoreError) in
                try await first.withSubscriptionRecords { (records) throws(StoreError) in
                    await willCopy()
                    let others = shards.filter { $0.key != 0 && map.shards.contains($0.key) }
                    let added = await Self.fanOut(others, within: Self.copyMax) { (other) throws(StoreError) in
                        try await other.addSubscriptions(records)
                    }
                    for (shard, result) in added {
                        do throws(StoreError) { try result.get() } catch { throw error.naming(shard: shard) }
                    }
                }
            }
        } catch {
            if !Task.isCancelled {
                logger.warning("cannot copy the subscriptions to all shards", metadata: ["error": "\(error)"])
            }
        }
    }

    public func subscriptions(within confinement: Confinement) async throws(StoreError) -> [Subscription] {
        let found = try await onPresent { (ledger) throws(StoreError) in
            try await ledger.subscriptions(within: confinement)
        }
        var seen: Set<Subscription.ID> = []
        return found.values.joined().filter { seen.insert($0.id).inserted }
            .sorted { ($0.createdAt, $0.id.text) < ($1.createdAt, $1.id.text) }
    }

    public func removeSubscription(
        _ id: Subscription.ID, within confinement: Confinement
    ) async throws(StoreError) -> Subscription? {
        let removed = try await on(0) { (ledger) throws(StoreError) in
            try await ledger.removeSubscription(id, within: confinement)
        }
        let copies = try await onAll { (ledger) throws(StoreError) in
            try await ledger.removeSubscription(id, within: confinement)
        }
        return removed ?? copies.compactMap(\.value).first
    }

    public func deliveries(
        of subscription: Subscription.ID?, within confinement: Confinement, limit: Int, before cursor: Delivery.Cursor?
    ) async throws(StoreError) -> [Delivery] {
        let found = try await onPresent { (ledger) throws(StoreError) in
            try await ledger.deliveries(of: subscription, within: confinement, limit: limit, before: cursor)
        }
        return Array(
            found.values.joined().sorted { ($1.createdAt, $0.id) < ($0.createdAt, $1.id) }.prefix(limit))
    }

    public func testSubscription(
        _ id: Subscription.ID, within confinement: Confinement
    ) async throws(StoreError) -> Delivery? {
        try await on(0) { (ledger) throws(StoreError) in
            try await ledger.testSubscription(id, within: confinement)
        }
    }
}
