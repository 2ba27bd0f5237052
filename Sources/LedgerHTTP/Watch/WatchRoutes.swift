internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore

/// The routes that stream the snapshots of jobs as server-sent events.
struct WatchRoutes: Sendable {
    static let jobPath = "/v1/jobs/{job}/watch"
    static let listPath = "/v1/watch"
    static let listSizes: ClosedRange<Int64> = 1...1_000
    /// The maximum number of jobs that a request may name.
    ///
    /// Its address then has at most 2 kB, which all proxies accept.
    static let namedJobsMax = 50

    private let service: any LedgerService
    private let broadcaster: WatchBroadcaster

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        broadcaster = dependencies.broadcaster
    }

    /// The parameters of the list's route.
    static let listParameters: [Route.Parameter] =
        Route.Parameter.jobFilters + [
            .init(
                name: "limit", type: .integer(listSizes),
                description: "The number of jobs, newest first; 100 by default"),
            .init(name: "cursor", type: .string, description: "Only jobs older than this one"),
            .init(
                name: "jobs", type: .string,
                description: "Only these jobs: up to \(namedJobsMax) ids, separated by commas. limit then has no effect"
            ),
        ]

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: Self.jobPath, operation: "watchJob",
                summary:
                    "Server-sent events: snapshot (id: its sequence and its history; data: as in GET /v1/jobs/{job}), at "
                    + "once and after every change, at most ten per second; end after the job has finished. Comments "
                    + "keep the connection alive. Last-Event-ID resumes a stream",
                responses: [
                    Self.stream("The stream"), .problem(404, "No such job"), .retired,
                    .problem(503, "Too many watchers"),
                ], handle: respond),
            Route(
                access: .jobs(.read), method: .get, path: Self.listPath, operation: "watchJobs",
                summary:
                    "Server-sent events of a list of jobs: list (data: {jobs: […]}, their ids, newest first), at once "
                    + "and after every change; snapshot of each job in the list, at once and after every change",
                parameters: Self.listParameters,
                responses: [
                    Self.stream("The stream"), .problem(422, "A parameter is invalid"),
                    .problem(503, "Too many watchers, or too many different lists"),
                ], handle: respond),
        ]
    }

    private static func stream(_ description: String) -> Route.ResponseSpec {
        Route.ResponseSpec(status: 200, description: description, schema: "Text", mediaType: "text/event-stream")
    }

    /// Responds to the requests that ``WatchStreamHandler`` forwards.
    ///
    /// These are HEAD, and requests that cannot be granted.
    private func respond(_ request: RouteRequest) async throws -> LedgerResponse {
        let head = request.request.head
        let found = try WatchRequest.read(target: head.path ?? "", lastEventID: head.headerFields[.lastEventID])
        guard let watch = found?.confined(to: request.access) else {
            throw HTTPProblem.noSuchJob(request.pathID ?? "")
        }
        switch watch.subject {
        case .job(let job):
            guard try await service.stamp(of: job) != nil else { throw HTTPProblem.noSuchJob(job.description) }
        case .list(let list): _ = try await list.read(from: service)
        }
        guard request.request.method == .head else {
            guard broadcaster.hasRoom(for: watch.subject) else { throw WatchBroadcaster.tooManyWatchers }
            throw HTTPProblem(
                .serviceUnavailable, "Unavailable", "The stream could not be started. Try again.",
                headers: HTTPFields(retryAfter: .seconds(1)))
        }
        return LedgerResponse(status: .ok, headers: ServerSentEvents.headers)
    }
}
