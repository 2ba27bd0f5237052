internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The route that explains the numbers of an indicator.
struct ExplainRoutes: Sendable {
    private let service: any LedgerService

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
    }

    private static let pageSizes: ClosedRange<Int64> = 1...1_000
    private static let pageSizeDefault: Int64 = 1_000

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/explain", operation: "explainIndicator",
                summary: "The units of an indicator that each execution reported, and whether they count",
                parameters: [
                    .init(
                        name: "label", type: .string,
                        description: "The indicator; empty or absent for the default indicator"),
                    .init(
                        name: "uncounted", type: .choice(["true", "false"]),
                        description: "true: only executions with units that do not count"),
                    .init(
                        name: "limit", type: .integer(Self.pageSizes),
                        description:
                            "Executions per page; 1,000 by default. A page may be shorter without being the last one"
                    ),
                    .init(name: "cursor", type: .string, description: "The next_cursor of the previous page"),
                    .policy,
                ] + Route.Parameter.moments,
                responses: [
                    Route.ResponseSpec(
                        status: 200, description: "The reported units, and those that count", schema: "Explanation"),
                    .problem(404, "No such job, or none of its events names the indicator"),
                    .retired,
                    .problem(422, "A parameter is invalid"), .problem(503, "Too many histories are being folded"),
                ], isHeavy: true, isLimited: true, handle: explain)
        ]
    }

    private func explain(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let label = try parameters.label("label")
        let limit = Int(try parameters.integer("limit", in: Self.pageSizes) ?? Self.pageSizeDefault)
        var cursor: Explanation.Cursor?
        if let text = parameters["cursor"] {
            guard let position = Explanation.Cursor(text) else {
                throw HTTPProblem.invalid(parameter: "cursor", "is not a next_cursor of a page")
            }
            cursor = position
        }
        let moment = try await PointInTimeQuery(service: service, job: job).moment(parameters)
        let policy = try parameters.choice("policy", CountingPolicy.self) ?? .last
        let onlyUncounted = try parameters.flag("uncounted")
        let result = try await service.explain(
            job, label, at: moment, counting: policy, onlyUncounted: onlyUncounted, limit: limit, after: cursor)
        switch result {
        case .found(let explanation): return .json { explanation.write(to: &$0) }
        case .noSuchJob: throw HTTPProblem.noSuchJob(job.description)
        case .noSuchIndicator: throw HTTPProblem.noSuchIndicator(label, of: job)
        }
    }
}
