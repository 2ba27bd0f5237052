internal import Ledger

extension SchemaCatalogue {
    /// The schemas of subscriptions and deliveries.
    static var notifications: [Schema] {
        let formats = Kind.choice(Subscription.Format.allCases.map(\.rawValue))
        return [
            Schema(
                name: "SubscriptionRequest",
                content: .object(
                    [
                        Field("name", .text(max: Limits.subscriptionNameLengths.upperBound)),
                        Field("url", .text(max: nil)), Field("when", .array(.text(max: nil))),
                        Field("filter", .nullable(.reference("SubscriptionFilter")), required: false),
                        Field("secret", .nullable(.text(max: nil)), required: false),
                        Field("format", .nullable(formats), required: false),
                    ], isClosed: true)),
            Schema(
                name: "SubscriptionFilter",
                content: .object(
                    [
                        Field("name", .nullable(.text(max: Limits.jobNameLengths.upperBound)), required: false),
                        Field("tags", .nullable(.map(.text(max: Limits.tagValueLengths.upperBound))), required: false),
                    ], isClosed: true)),
            object(
                "Subscription",
                [
                    Field("id", .text(max: AccessToken.ID.length)), Field("name", .text(max: nil)),
                    Field("url", .text(max: nil)), Field("when", .array(.text(max: nil))),
                    Field("filter", .reference("SubscriptionFilter")), Field("secret", .text(max: nil)),
                    Field("format", formats), Field("created_at", .moment),
                    Field("created_by", .nullable(.text(max: nil))), Field("disabled_at", .nullable(.moment)),
                    Field(
                        "disabled_reason",
                        .nullable(.choice(Subscription.DisabledReason.allCases.map(\.rawValue)))),
                ]),
            object("Subscriptions", [Field("subscriptions", .array(.reference("Subscription")))]),
            object(
                "DeliveryPage",
                [
                    Field("deliveries", .array(.reference("Delivery"))),
                    Field("next_cursor", .nullable(.text(max: nil))),
                ]),
            object(
                "Delivery",
                [
                    Field("id", .text(max: nil)), Field("subscription", .text(max: AccessToken.ID.length)),
                    Field("job", .nullable(.text(max: nil))), Field("cause", .reference("DeliveryCause")),
                    Field("state", .choice(Delivery.State.allCases.map(\.rawValue))),
                    Field("attempts", .integer(nil)), Field("created_at", .moment),
                    Field("attempted_at", .nullable(.moment)), Field("next_at", .nullable(.moment)),
                    Field("ended_at", .nullable(.moment)), Field("response_status", .nullable(.integer(nil))),
                    Field("error", .nullable(.text(max: nil))),
                ]),
            object(
                "DeliveryCause",
                [
                    Field("kind", .choice(NotificationKind.names)),
                    Field("threshold", .integer(1...100), required: false),
                    Field("sequence", .integer(nil), required: false), Field("since", .moment, required: false),
                    Field("at", .moment),
                ]),
        ]
    }
}
