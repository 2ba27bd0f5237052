internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore

/// Watching jobs: server-sent events.
struct WatchRoutes: Sendable {
    static let jobPath = "/v1/jobs/{job}/watch"
    static let listPath = "/v1/watch"
    static let listSizes: ClosedRange<Int64> = 1...1_000

    private let service: any LedgerService

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
    }

    /// The parameters of the list's route.
    static let listParameters: [Route.Parameter] = [
        .init(
            name: "state", type: .choice(JobState.allCases.map(\.rawValue)), description: "Only jobs in this state"),
        .init(name: "name", type: .string, description: "Only jobs of this name"),
        .search,
        .init(name: "tag.", type: .prefix, description: "tag.K=V: only jobs whose tag K has the value V"),
        .init(
            name: "limit", type: .integer(listSizes), description: "The number of jobs, newest first; 100 by default"),
        .init(name: "cursor", type: .string, description: "Only jobs older than this one"),
    ]

    var routes: [Route] {
        [
            Route(
                method: .get, path: Self.jobPath, operation: "watchJob",
                summary:
                    "Server-sent events: snapshot (id: its sequence and its history; data: as of GET /v1/jobs/{job}), at once "
                    + "and then whenever it changes, at most ten a second; end when the job has finished. Comments keep "
                    + "the connection alive. Resumes by Last-Event-ID",
                responses: [
                    Self.stream("The stream"), .problem(404, "No such job"),
                    .problem(503, "Too many watchers"),
                ], handle: respond),
            Route(
                method: .get, path: Self.listPath, operation: "watchJobs",
                summary:
                    "Server-sent events of a list of jobs: list (data: {jobs: […]}, their ids, newest first), at once "
                    + "and whenever it changes; snapshot of each job that is in it, at once and whenever it changes",
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

    /// Responds to the requests that ``WatchHandler`` does not: to HEAD, and to those that cannot be granted.
    private func respond(_ request: RouteRequest) async throws -> LedgerResponse {
        guard let watch = try WatchRequest.read(request.request.head) else {
            throw HTTPProblem.noSuchJob(request.pathID ?? "")
        }
        switch watch.subject {
        case .job(let job):
            guard try await service.job(job) != nil else { throw HTTPProblem.noSuchJob(job.description) }
        case .list(let list): _ = try await service.jobs(list.filter, limit: 1, after: list.cursor)
        }
        guard request.request.method == .head else { throw WatchBroadcaster.tooManyWatchers }
        return LedgerResponse(status: .ok, headers: ServerSentEvents.headers)
    }
}

extension Route.Parameter {
    static let search = Route.Parameter(
        name: "search", type: .string,
        description:
            "Only jobs whose name contains this, or whose key it is. Letters of a name are found in either case; nothing else "
            + "is folded, and nothing is normalised: a composed and a decomposed é are different")
}
