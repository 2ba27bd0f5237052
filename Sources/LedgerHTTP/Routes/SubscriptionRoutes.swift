internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The routes of subscriptions to notifications, and of their deliveries.
struct SubscriptionRoutes: Sendable {
    private let service: any LedgerService
    private let targets: WebhookTargets

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        targets = dependencies.settings.notificationTargets
    }

    private static let pageMax: Int64 = 1_000
    private static let pageDefault = 100

    var routes: [Route] {
        [
            Route(
                access: .jobs(.admin), method: .post, path: "/v1/subscriptions", operation: "createSubscription",
                summary: "Creates a subscription, whose URL and secret are returned only here",
                body: Route.Body(schema: "SubscriptionRequest", takesLines: false),
                responses: [
                    Route.ResponseSpec(status: 201, description: "The subscription", schema: "Subscription"),
                    .problem(403, "A tag of the filter contradicts the confinement of the token"),
                    .problem(409, "The ledger has too many subscriptions"), .problem(422, "The request is invalid"),
                ], hasLocation: true, handle: create),
            Route(
                access: .jobs(.admin), method: .get, path: "/v1/subscriptions", operation: "listSubscriptions",
                summary: "All subscriptions in the order of creation, with masked URLs and secrets",
                responses: [
                    Route.ResponseSpec(status: 200, description: "The subscriptions", schema: "Subscriptions")
                ], handle: list),
            Route(
                access: .jobs(.admin), method: .get, path: "/v1/subscriptions/{subscription}",
                operation: "getSubscription", summary: "A subscription, with masked URL and secret",
                responses: [
                    Route.ResponseSpec(status: 200, description: "The subscription", schema: "Subscription"),
                    .problem(404, "No such subscription"),
                ], handle: get),
            Route(
                access: .jobs(.admin), method: .delete, path: "/v1/subscriptions/{subscription}",
                operation: "removeSubscription", summary: "Removes a subscription with its deliveries",
                responses: [
                    Route.ResponseSpec(status: 200, description: "The subscription", schema: "Subscription"),
                    .problem(404, "No such subscription"),
                ], handle: remove),
            Route(
                access: .jobs(.admin), method: .get, path: "/v1/subscriptions/{subscription}/deliveries",
                operation: "listDeliveries", summary: "The deliveries of a subscription, newest first",
                parameters: [
                    .init(name: "limit", type: .integer(1...Self.pageMax), description: "The most deliveries"),
                    .init(name: "cursor", type: .string, description: "The next_cursor of the previous page"),
                ],
                responses: [
                    Route.ResponseSpec(status: 200, description: "The deliveries", schema: "DeliveryPage"),
                    .problem(404, "No such subscription"), .problem(422, "A parameter is invalid"),
                ], handle: deliveries),
            Route(
                access: .jobs(.admin), method: .post, path: "/v1/subscriptions/{subscription}/test",
                operation: "testSubscription", summary: "Sends a test once, and waits up to 24 s for its result",
                responses: [
                    Route.ResponseSpec(status: 200, description: "The delivery", schema: "Delivery"),
                    .problem(404, "No such subscription"), .problem(409, "The subscription is disabled"),
                ], handle: test),
        ]
    }

    private func create(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let targets = targets
        var description = try await request.read { body, _ throws(RequestError) in
            try SubscriptionBody.request(body, targets)
        }
        // As with tokens, the tags of the creator's confinement need not be repeated.
        let confinement = request.access.confinement
        description.tags.merge(confinement.tags) { given, _ in given }
        guard Confinement(tags: description.tags).isWithin(confinement) else {
            throw HTTPProblem(
                .forbidden, "Subscription exceeds its creator's token",
                "A subscription can be about only those jobs that the token of its creator permits."
            ).refusing(.confinement, by: request.access)
        }
        let (subscription, secret) = try await service.createSubscription(description, by: request.access.reporter)
        return .json(
            .created, headers: [.location: "/v1/subscriptions/\(subscription.id)", .cacheControl: "no-store"]
        ) {
            subscription.write(to: &$0, secret: secret)
        }
    }

    private func list(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let subscriptions = try await service.subscriptions(within: request.access.confinement)
        return .json { writer in
            writer.object { writer in
                writer.name("subscriptions")
                writer.array(subscriptions) { $1.write(to: &$0) }
            }
        }
    }

    private func get(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let subscription = try await find(request)
        return .json { subscription.write(to: &$0) }
    }

    private func remove(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        guard let id = request.pathID.flatMap({ Subscription.ID($0) }),
            let subscription = try await service.removeSubscription(id, within: request.access.confinement)
        else { throw Self.noSuchSubscription }
        return .json { subscription.write(to: &$0) }
    }

    private func deliveries(_ request: RouteRequest) async throws -> LedgerResponse {
        let parameters = try request.parameters()
        let limit = try parameters.integer("limit", in: 1...Self.pageMax).map(Int.init) ?? Self.pageDefault
        var cursor: Delivery.Cursor?
        if let text = parameters["cursor"] {
            guard let given = Delivery.Cursor(text) else {
                throw HTTPProblem.invalid(parameter: "cursor", "is not a next_cursor of this route")
            }
            cursor = given
        }
        let subscription = try await find(request)
        let found = try await service.deliveries(
            of: subscription.id, within: request.access.confinement, limit: limit, before: cursor)
        let next = found.count == limit ? found.last?.cursor.text : nil
        return .json { writer in
            writer.object { writer in
                writer.name("deliveries")
                writer.array(found) { $1.write(to: &$0) }
                writer.field("next_cursor", next)
            }
        }
    }

    private func test(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        guard let id = request.pathID.flatMap({ Subscription.ID($0) }),
            let delivery = try await service.testSubscription(id, within: request.access.confinement)
        else { throw Self.noSuchSubscription }
        return .json { delivery.write(to: &$0) }
    }

    private func find(_ request: RouteRequest) async throws -> Subscription {
        guard let id = request.pathID.flatMap({ Subscription.ID($0) }),
            let found = try await service.subscriptions(within: request.access.confinement).first(where: { $0.id == id }
            )
        else { throw Self.noSuchSubscription }
        return found
    }

    private static let noSuchSubscription = HTTPProblem(
        .notFound, "No such subscription", "There is no subscription with this id. See /v1/subscriptions.")
}
