internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypesHTTP1
internal import Tracing

/// A middleware that turns errors into problem+json, counts and traces requests.
struct ProblemMiddleware: RouterMiddleware {
    typealias Context = LedgerRequestContext

    let table: RouteTable
    let metrics: HTTPMetrics
    /// The backend for spans; nil for none.
    let tracer: (any Tracer)?

    @concurrent
    func handle(
        _ request: Request, context: LedgerRequestContext,
        next: @concurrent (Request, LedgerRequestContext) async throws -> Response
    ) async throws -> Response {
        guard let tracer else { return await respond(to: request, context, next) }
        let span = RequestSpan(tracer, request.method.rawValue, HTTPHeaders(request.headers))
        let response = await ServiceContext.withValue(span.context) { await respond(to: request, context, next) }
        // Hummingbird has a path of its own for requests without a route.
        let route = table.routes.first { $0.path == context.endpointPath }
        span.end(
            route: route?.path, job: context.parameters.get("job").flatMap { JobID($0) }, status: response.status.code)
        return response
    }

    @concurrent
    private func respond(
        to request: Request, _ context: LedgerRequestContext,
        _ next: @concurrent (Request, LedgerRequestContext) async throws -> Response
    ) async -> Response {
        let started = ContinuousClock.now
        var context = context
        context.identity = RequestIdentity(request.headers)
        metrics.began()
        let response: Response
        do {
            response = try await next(request, context)
        } catch {
            response = errorResponse(error, request, context).response
        }
        metrics.ended(
            route: context.endpointPath ?? "none", method: request.method.rawValue, status: response.status.code,
            seconds: started.duration(to: .now))
        return response
    }

    private func errorResponse(
        _ error: any Error, _ request: Request, _ context: LedgerRequestContext
    ) -> LedgerResponse {
        switch error {
        case let broken as UnreadableRequest: return broken.problem.response(to: context.identity)
        case let error as HTTPError where error.status == .notFound: return unknownPath(request, context.identity)
        case let error as HTTPError:
            return HTTPProblem(error.status, error.status.reasonPhrase, error.body ?? error.status.reasonPhrase)
                .response(to: context.identity)
        case let error as any HTTPResponseError:
            return HTTPProblem(error.status, error.status.reasonPhrase, error.status.reasonPhrase)
                .response(to: context.identity)
        default: break
        }
        let problem = HTTPProblem.problem(
            error, isRead: request.method == .get || request.method == .head, of: context.identity, context.logger)
        metrics.refusals.record(
            problem, of: context.identity, method: request.method.rawValue, route: context.endpointPath,
            from: context.channel.remoteAddress, context.logger)
        return problem.response(to: context.identity)
    }

    private func unknownPath(_ request: Request, _ identity: RequestIdentity) -> LedgerResponse {
        // OPTIONS * is about the server (RFC 9110, section 9.3.7).
        let methods = request.head.path == "*" ? table.methods : table.methods(of: request.uri.path)
        guard !methods.isEmpty else {
            return HTTPProblem(
                .notFound, "No such route", "There is no route \(request.uri.path). See /openapi.json."
            ).response(to: identity)
        }
        let allowed = (methods.map(\.rawValue) + (methods.contains(.get) ? ["HEAD"] : []) + ["OPTIONS"]).sorted()
            .joined(separator: ", ")
        if request.method == .options { return LedgerResponse(status: .noContent, headers: [.allow: allowed]) }
        return HTTPProblem(
            .methodNotAllowed, "Method not allowed", "\(request.uri.path) allows \(allowed).",
            headers: [.allow: allowed]
        ).response(to: identity)
    }
}
