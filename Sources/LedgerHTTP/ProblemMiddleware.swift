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
        guard let tracer else { return await respond(to: request, context, next).response }
        let span = RequestSpan(tracer, request.method.rawValue, HTTPHeaders(request.headers))
        let (response, status) = await ServiceContext.withValue(span.context) {
            await respond(to: request, context, next)
        }
        // Hummingbird has a path of its own for requests without a route.
        let route = table.routes.first { $0.path == context.endpointPath }
        span.end(
            route: route?.path, job: context.parameters.get("job").flatMap { JobID($0) }, status: status)
        return response
    }

    /// Returns the response, and the status to count.
    ///
    /// The status of gRPC is 200 even if the request has failed.
    @concurrent
    private func respond(
        to request: Request, _ context: LedgerRequestContext,
        _ next: @concurrent (Request, LedgerRequestContext) async throws -> Response
    ) async -> (response: Response, status: Int) {
        let started = ContinuousClock.now
        var context = context
        context.identity = RequestIdentity(request.headers)
        metrics.began()
        let response: Response
        let status: Int
        do {
            response = try await next(request, context)
            status = response.status.code
        } catch {
            (response, status) = errorResponse(error, request, context)
        }
        metrics.ended(
            route: context.endpointPath ?? "none", method: request.method.rawValue, status: status,
            seconds: started.duration(to: .now))
        return (response, status)
    }

    private func errorResponse(
        _ error: any Error, _ request: Request, _ context: LedgerRequestContext
    ) -> (Response, status: Int) {
        if let error = error as? HTTPError, error.status == .notFound {
            let response = unknownPath(request, context.identity)
            return (response.response, response.status.code)
        }
        let route = table.route(request.method == .head ? .get : request.method, context.endpointPath)
        let problem = problem(of: error, request, route, context)
        let response: LedgerResponse =
            if let page = route?.page, request.isForPerson {
                Page.problem(problem, root: page, of: context.identity)
            } else {
                route?.refusal?(problem, request.headers, context.identity) ?? problem.response(to: context.identity)
            }
        return (response.response, problem.details.status)
    }

    private func problem(
        of error: any Error, _ request: Request, _ route: Route?, _ context: LedgerRequestContext
    ) -> HTTPProblem {
        switch error {
        case let broken as UnreadableRequest: return broken.problem
        case let error as HTTPError:
            return HTTPProblem(error.status, error.status.reasonPhrase, error.body ?? error.status.reasonPhrase)
        case let error as any HTTPResponseError:
            return HTTPProblem(error.status, error.status.reasonPhrase, error.status.reasonPhrase)
        default: break
        }
        let problem = HTTPProblem.problem(
            error, isRead: route?.isRead ?? (request.method == .get || request.method == .head), of: context.identity,
            context.logger)
        metrics.refusals.record(
            problem, of: context.identity, method: request.method.rawValue, route: context.endpointPath,
            from: context.channel.remoteAddress, context.logger)
        return problem
    }

    private func unknownPath(_ request: Request, _ identity: RequestIdentity) -> LedgerResponse {
        // OPTIONS * is about the server (RFC 9110, section 9.3.7).
        let methods = request.head.path == "*" ? table.methods : table.methods(of: request.uri.path)
        guard !methods.isEmpty else {
            let problem = HTTPProblem(
                .notFound, "No such route", "There is no route \(request.uri.path). See /openapi.json.")
            return request.isForPerson
                ? Page.problem(problem, root: PageRoot(of: request.uri.path), of: identity)
                : problem.response(to: identity)
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
