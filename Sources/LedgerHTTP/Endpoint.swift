internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import LedgerWire
internal import NIOCore

/// Hummingbird's context of a request, with the channel of its connection.
struct LedgerRequestContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Runs the handler of a route.
///
/// It reads the body first, limits the time, and chooses the threads.
struct Endpoint: Sendable {
    let route: Route
    let settings: ServerSettings
    let collector: BodyCollector
    let connections: ConnectionRegistry

    func respond(to request: Request, _ context: LedgerRequestContext) async throws -> Response {
        var content: RequestContent?
        if let body = route.body { content = try await collector.body(of: request, allowsLines: body.takesLines) }
        let wait = route.prefersWait ? min(request.headers.preferredWait, settings.preferWaitMax) : 0
        let request = RouteRequest(
            request: request, query: request.uri.query,
            pathID: context.parameters.get(route.pathParameter?.name ?? ""), route: route, content: content,
            wait: wait)
        let bound = route.bound(settings, waiting: wait)
        let route = route
        do {
            guard route.isHeavy else {
                return try await bound.run(on: EventLoopExecutor.shared) { try await route.handle(request) }.response
            }
            return try await bound.run(
                on: ComputeExecutor.shared, for: route.isRead ? connections.connection(of: context.channel) : nil
            ) {
                try await route.handle(request)
            }.response
        } catch is TimeBound.Exceeded {
            throw HTTPProblem.timedOut(isRead: route.isRead, bound.limit)
        } catch is CancellationError {
            // The client has disconnected, or the time limit of the shutdown has passed.
            throw HTTPProblem(
                .serviceUnavailable, route.isRead ? "Unavailable" : "Outcome unknown",
                "The request was cancelled before it had a response.",
                headers: HTTPFields(retryAfter: .seconds(1)))
        }
    }
}
