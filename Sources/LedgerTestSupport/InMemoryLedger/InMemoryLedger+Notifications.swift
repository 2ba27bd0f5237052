public import Ledger
public import LedgerStore

/// Subscriptions without a sender.
///
/// Only tests of subscriptions are deliveries, and they stay pending.
extension InMemoryLedger {
    /// The subscriptions and deliveries, in the order of creation.
    struct Notifications: Sendable {
        var subscriptions: [Subscription] = []
        var deliveries: [Delivery] = []
    }

    public func createSubscription(
        _ request: SubscriptionRequest, by creator: Name?
    ) throws(StoreError) -> (subscription: Subscription, secret: WebhookSecret) {
        let receiver: WebhookAddress
        do throws(WebhookAddress.Invalid) { receiver = try WebhookAddress(request.url) } catch {
            throw StoreError(.corrupt, "the URL was not checked: it \(error.detail)")
        }
        guard let id = Subscription.ID(TokenText.random().id.text) else {
            throw StoreError(.corrupt, "the id of a token is not one of a subscription")
        }
        let subscription = Subscription(
            id: id, name: request.name, receiver: receiver, kinds: request.kinds, jobName: request.jobName,
            tags: request.tags, format: request.format, createdAt: Self.now, createdBy: creator, disabled: nil)
        changeNotifications { $0.subscriptions.append(subscription) }
        return (subscription, request.secret ?? .random())
    }

    public func subscriptions(within confinement: Confinement) -> [Subscription] {
        changeNotifications { $0.subscriptions }.filter { $0.isWithin(confinement) }
    }

    public func removeSubscription(_ id: Subscription.ID, within confinement: Confinement) -> Subscription? {
        changeNotifications { notifications in
            guard
                let index = notifications.subscriptions.firstIndex(where: {
                    $0.id == id && $0.isWithin(confinement)
                })
            else { return nil }
            notifications.deliveries.removeAll { $0.subscription == id }
            return notifications.subscriptions.remove(at: index)
        }
    }

    public func deliveries(
        of subscription: Subscription.ID?, within confinement: Confinement, limit: Int, before cursor: Delivery.Cursor?
    ) -> [Delivery] {
        let visible = Set(subscriptions(within: confinement).map(\.id)).filter { $0 == subscription ?? $0 }
        let found = changeNotifications { $0.deliveries }.filter { visible.contains($0.subscription) }
            .sorted { ($1.createdAt, $0.id) < ($0.createdAt, $1.id) }
        return Array(
            found.filter { delivery in
                cursor.map { ($0.createdAt, delivery.id) > (delivery.createdAt, $0.id) } ?? true
            }.prefix(limit))
    }

    public func testSubscription(_ id: Subscription.ID, within confinement: Confinement) -> Delivery? {
        guard subscriptions(within: confinement).contains(where: { $0.id == id }) else { return nil }
        let now = Self.now
        return changeNotifications { notifications in
            let delivery = Delivery(
                id: "msg_\(notifications.deliveries.count)", subscription: id,
                cause: NotificationCause(job: nil, kind: .test, origin: .moment(now), at: now), createdAt: now,
                state: .pending, attempts: 0, nextAt: now, attemptedAt: nil, endedAt: nil, responseStatus: nil,
                error: nil)
            notifications.deliveries.append(delivery)
            return delivery
        }
    }
}
