internal import AsyncPrimitives
public import Ledger
internal import Logging
internal import PQ

extension PostgresLedger {
    /// The pause before a new subscription is acknowledged.
    ///
    /// The time of an event may be a second older than its append (``GroupCommitPlan/expiry``). After the pause, every
    /// new event has a later time than the subscription.
    static let acknowledgementPause: Duration = .seconds(1)
    /// The time to wait for the result of a test, and the interval of looking.
    ///
    /// The sender of another process may look for it only after two seconds. Then a connection may take 5 s, and a
    /// response 15 s. A caller of the server waits for 30 s.
    private static let testWait = (limit: Duration.seconds(24), interval: Duration.milliseconds(100))

    public func createSubscription(
        _ request: SubscriptionRequest, by creator: Name?
    ) async throws(StoreError) -> (subscription: Subscription, secret: WebhookSecret) {
        let secret = request.secret ?? .random()
        guard let id = Subscription.ID(TokenText.random().id.text) else {
            preconditionFailure("the id of a token is one of a subscription")
        }
        let created = try await attempting("creating a subscription") { () throws(PQError) in
            try await subscriptionStore.create(request, id, secret, by: creator)
        }
        guard let subscription = created else {
            throw StoreError(
                .conflict,
                "the ledger has the maximum of \(Limits.subscriptionsMax) subscriptions; remove some")
        }
        // The subscription is recorded, even if the caller no longer waits.
        do { try await Task.sleep(for: Self.acknowledgementPause) } catch {}
        return (subscription, secret)
    }

    public func subscriptions(within confinement: Confinement) async throws(StoreError) -> [Subscription] {
        let all = try await attempting("reading subscriptions") { () throws(PQError) in
            try await subscriptionStore.all()
        }
        return all.filter { $0.isWithin(confinement) }
    }

    public func removeSubscription(
        _ id: Subscription.ID, within confinement: Confinement
    ) async throws(StoreError) -> Subscription? {
        try await attempting("removing a subscription") { () throws(PQError) in
            try await subscriptionStore.remove(id, within: confinement)
        }
    }

    public func deliveries(
        of subscription: Subscription.ID?, within confinement: Confinement, limit: Int, before cursor: Delivery.Cursor?
    ) async throws(StoreError) -> [Delivery] {
        try await attempting("reading deliveries") { () throws(PQError) in
            try await deliveryStore.deliveries(of: subscription, within: confinement, limit: limit, before: cursor)
        }
    }

    public func testSubscription(
        _ id: Subscription.ID, within confinement: Confinement
    ) async throws(StoreError) -> Delivery? {
        guard let subscription = try await subscriptions(within: confinement).first(where: { $0.id == id }) else {
            return nil
        }
        guard subscription.disabled == nil else {
            throw StoreError(.conflict, "the subscription \(id) is disabled; remove it, and create another one")
        }
        let (deliveries, wait) = (deliveryStore, Self.testWait)
        return try await attempting("testing a subscription") { () throws(PQError) in
            guard let test = try await deliveries.enqueueTest(of: id) else { return nil }
            notificationSignal.signal()
            let start = ContinuousClock.now
            var delivery = try await deliveries.delivery(test)
            while let found = delivery, found.state == .pending, ContinuousClock.now - start < wait.limit {
                do { try await Task.sleep(for: wait.interval) } catch { break }
                delivery = try await deliveries.delivery(test)
            }
            return delivery
        }
    }

    /// The search for late and stalled jobs.
    package var notificationSearch: NotificationSearch {
        NotificationSearch(pool: pool, matcher: subscriptionMatcher)
    }

    /// Reads a job for a notification.
    ///
    /// Of a retired job only the end is known. Nil if the job does not exist.
    package func jobToNotify(_ id: JobID) async throws(StoreError) -> JobView? {
        try await attempting("reading a job") { () throws(PQError) in try await snapshots.job(id)?.view }
    }
}
