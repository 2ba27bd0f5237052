internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging
internal import NIOCore

/// Hummingbird's context of a request, with the channel of its connection.
struct LedgerRequestContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel
    /// The id of the request.
    ///
    /// ``ProblemMiddleware`` sets it, because the source has no request.
    var identity = RequestIdentity()

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }
}

/// Runs the handler of a route.
///
/// It checks what the caller may do, reads the body, limits the time, and chooses the threads.
struct Endpoint: Sendable {
    let route: Route
    let service: any LedgerService
    let control: AccessControl
    let settings: ServerSettings
    let collector: BodyCollector
    let connections: ConnectionRegistry
    let longRequests: LongRequests
    let metrics: HTTPMetrics

    func respond(to request: Request, _ context: LedgerRequestContext) async throws -> Response {
        let pathID = context.parameters.get(route.pathParameter?.name ?? "")
        let access: Access
        do {
            access = try await self.access(request, pathID)
        } catch let problem as HTTPProblem {
            guard let page = route.page else { throw problem }
            metrics.refusals.record(
                problem, of: context.identity, method: request.method.rawValue, route: route.path,
                from: context.channel.remoteAddress, context.logger)
            return Page.refusal(problem, root: page, of: request, context.identity).response
        }
        var content: RequestContent?
        if let body = route.body {
            content = try await collector.content(of: request, body)
            // The token may have been revoked while the body arrived.
            try control.check(access, route.access)
        }
        let wait = route.prefersWait ? min(request.headers.preferredWait, settings.preferWaitMax) : 0
        let request = RouteRequest(
            request: request, identity: context.identity, access: access, query: request.uri.query, pathID: pathID,
            route: route, content: content, wait: wait)
        let bound = route.bound(settings, waiting: wait)
        let route = route
        let permit = route.isLimited ? try longRequests.enter(access) : nil
        defer { withExtendedLifetime(permit) {} }
        do {
            let response = try await bound.run(
                on: route.isHeavy ? ComputeExecutor.shared as any TaskExecutor : EventLoopExecutor.shared,
                for: route.isHeavy && route.isRead ? connections.connection(of: context.channel) : nil
            ) {
                let response = try await route.handle(request)
                // Responses to writes may contain secrets, and are short.
                guard route.isRead, request.request.headers.acceptGzip else { return response }
                guard !route.isHeavy, response.isSlowToCompress else { return response.compressed() }
                return await ComputeExecutor.run { response.compressed() }
            }
            guard route.isRead else { return response.response }
            // The token may be revoked while a read waits or a stream lasts.
            try control.check(access, route.access)
            let control = control
            return response.checked { () throws(HTTPProblem) in
                // The stream keeps its permit until it ends.
                try withExtendedLifetime(permit) { () throws(HTTPProblem) in try control.check(access, route.access) }
            }.response
        } catch let error as StoreError where error.code == .retired || error.code == .incomplete {
            throw await HTTPProblem.retired(error, for: access, service) ?? error
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

    /// Returns the caller's access, if that includes this request.
    ///
    /// - Throws: ``HTTPProblem`` if it does not.
    private func access(_ request: Request, _ pathID: String?) async throws -> Access {
        let job = pathID.flatMap { JobID($0) }
        var result = control.access(to: route.access, method: request.method, request.headers, job: job)
        if case .failure(let problem) = result, await control.reloadKeys(after: problem) {
            result = control.access(to: route.access, method: request.method, request.headers, job: job)
        }
        let access = try result.get()
        if case .job = route.access, !access.confinement.isUnconfined {
            let (control, bound) = (control, route.bound(settings, waiting: 0))
            do {
                let isIncluded = try await bound.run(on: EventLoopExecutor.shared) {
                    guard let job else { return false }
                    return try await control.find(job, access.confinement)
                }
                guard isIncluded else {
                    throw HTTPProblem.noSuchJob(pathID ?? "").refusing(.confinement, by: access)
                }
            } catch is TimeBound.Exceeded {
                // Nothing was recorded yet, whatever the method.
                throw HTTPProblem.timedOut(isRead: true, bound.limit)
            }
        }
        return access
    }
}
