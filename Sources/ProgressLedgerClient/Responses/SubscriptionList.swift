package import Ledger
package import LedgerWire

extension ShownSubscription: ResponseBody {}

extension Delivery: ResponseBody {}

/// The response to a request for all subscriptions.
package struct SubscriptionList: ResponseBody {
    package let subscriptions: [ShownSubscription]

    package init(_ value: JSONValue) throws(ResponseError) {
        guard let elements = value["subscriptions"]?.elements else { throw ResponseError(field: "subscriptions") }
        var subscriptions: [ShownSubscription] = []
        for element in elements { subscriptions.append(try ShownSubscription(element)) }
        self.subscriptions = subscriptions
    }
}

/// The response to a request for the deliveries of a subscription.
package struct DeliveryPage: ResponseBody {
    package let deliveries: [Delivery]
    package let nextCursor: String?

    package init(_ value: JSONValue) throws(ResponseError) {
        guard let elements = value["deliveries"]?.elements else { throw ResponseError(field: "deliveries") }
        var deliveries: [Delivery] = []
        for element in elements { deliveries.append(try Delivery(element)) }
        self.deliveries = deliveries
        nextCursor = value["next_cursor"]?.text
    }
}
