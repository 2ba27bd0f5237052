internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore

/// Watching jobs: server-sent events.
struct WatchRoutes: Sendable {
    private let broadcaster: WatchBroadcaster

    init(_ dependencies: RouteTable.Dependencies) {
        broadcaster = dependencies.broadcaster
    }

    private static let listSizes: ClosedRange<Int64> = 1...1_000
    private static let listSizeDefault: Int64 = 100

    var routes: [Route] {
        [
            Route(
                method: .get, path: "/v1/jobs/{job}/watch", operation: "watchJob",
                summary:
                    "Server-sent events: snapshot (id: its sequence and the history it belongs to; data: as of GET /v1/jobs/{job}), at once and then "
                    + "whenever it changes, at most ten a second; end when the job has finished. Comments keep the "
                    + "connection alive. Resumes by Last-Event-ID",
                outcomes: [
                    Self.stream("The stream"), .problem(404, "No such job"),
                    .problem(503, "Too many watchers"),
                ], handle: watchJob),
            Route(
                method: .get, path: "/v1/watch", operation: "watchJobs",
                summary:
                    "Server-sent events of a list of jobs: list (data: {jobs: […]}, their ids, newest first), at once "
                    + "and whenever it changes; snapshot of each job that is in it, at once and whenever it changes",
                parameters: [
                    .init(
                        name: "state", type: .choice(JobState.allCases.map(\.rawValue)),
                        description: "Only jobs in this state"),
                    .init(name: "name", type: .string, description: "Only jobs of this name"),
                    .search,
                    .init(name: "tag.", type: .prefix, description: "tag.K=V: only jobs whose tag K has the value V"),
                    .init(
                        name: "limit", type: .integer(Self.listSizes),
                        description: "The newest so many jobs; 100 unless told"),
                    .init(name: "cursor", type: .string, description: "Only jobs older than this one"),
                ],
                outcomes: [
                    Self.stream("The stream"), .problem(422, "A parameter is invalid"),
                    .problem(503, "Too many watchers, or too many different lists"),
                ], handle: watchJobs),
        ]
    }

    private static func stream(_ description: String) -> Route.ResponseSpec {
        Route.ResponseSpec(status: 200, description: description, schema: "Text", mediaType: "text/event-stream")
    }

    private func watchJob(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        _ = try request.parameters()
        // An id that is none of ours says nothing of what the client has, so it gets what there is.
        let known = request.request.headers[.lastEventID].flatMap { StreamPosition($0) }
        guard let subscription = try await broadcaster.subscribe(job, from: known) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        return WatchResponse(subscription: subscription, job: job, known: known).answer(to: request.request)
    }

    private func watchJobs(_ request: RouteRequest) async throws -> LedgerResponse {
        let parameters = try request.parameters()
        let filter = JobFilter(
            state: try parameters.choice("state", JobState.self), name: try parameters.name("name"),
            tags: try parameters.names(withPrefix: "tag."), search: try parameters.name("search"))
        let limit = Int(try parameters.integer("limit", in: Self.listSizes) ?? Self.listSizeDefault)
        var cursor: JobID?
        if let text = parameters["cursor"] {
            guard let id = JobID(text) else { throw HTTPProblem.invalid(parameter: "cursor", "is not a job's id") }
            cursor = id
        }
        let subscription = try await broadcaster.subscribe(
            SubscriptionTable.List(filter: filter, limit: limit, cursor: cursor))
        return WatchResponse(subscription: subscription, job: nil, known: nil).answer(to: request.request)
    }
}

extension Route.Parameter {
    static let search = Route.Parameter(
        name: "search", type: .string,
        description:
            "Only jobs whose name contains this, or whose key it is. Letters of a name are found in either case; nothing else "
            + "is folded, and nothing is normalised: a composed and a decomposed é are different")
}
