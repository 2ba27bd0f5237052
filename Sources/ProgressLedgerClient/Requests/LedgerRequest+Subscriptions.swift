package import Ledger
internal import LedgerWire
internal import NIOHTTP1

extension LedgerRequest {
    package static func createSubscription(_ request: SubscriptionRequest) -> LedgerRequest {
        var json = JSONWriter()
        request.write(to: &json)
        return .post("create the subscription", "/v1/subscriptions", json: json.bytes, isSafeToRepeat: false)
    }

    package static var subscriptions: LedgerRequest { .get("list the subscriptions", "/v1/subscriptions") }

    package static func removeSubscription(_ id: Subscription.ID) -> LedgerRequest {
        LedgerRequest(
            purpose: "remove the subscription \(id)", method: .DELETE, path: "/v1/subscriptions/\(id)",
            isSafeToRepeat: true)
    }

    package static func deliveries(of id: Subscription.ID, limit: Int?, cursor: String?) -> LedgerRequest {
        var query = Query()
        query.add("limit", limit.map(String.init))
        query.add("cursor", cursor)
        return .get("list the deliveries of the subscription \(id)", "/v1/subscriptions/\(id)/deliveries", query: query)
    }

    package static func testSubscription(_ id: Subscription.ID) -> LedgerRequest {
        .post("test the subscription \(id)", "/v1/subscriptions/\(id)/test", json: [], isSafeToRepeat: false)
    }
}
