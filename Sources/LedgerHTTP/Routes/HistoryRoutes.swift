internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The routes that show how a job and its indicators changed over time.
struct HistoryRoutes: Sendable {
    private let service: any LedgerService

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
    }

    private static let changeLimits: ClosedRange<Int64> = 0...1_000
    private static let changeLimitDefault: Int64 = 100
    private static let pointLimits: ClosedRange<Int64> = 2...10_000
    private static let pointLimitDefault: Int64 = 500

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/diff", operation: "getDifference",
                summary: "The changes of a job between two moments, with the causes of decreases",
                parameters: [
                    .init(
                        name: "from", type: .string,
                        description: "The earlier moment: a sequence or a time; by default 0, before the first event"),
                    .init(
                        name: "to", type: .string,
                        description: "The later moment: a sequence or a time; by default the last event"),
                    .init(
                        name: "limit", type: .integer(Self.changeLimits),
                        description: "Listed changes of each kind; 100 by default. All changes are counted"),
                    .policy,
                ],
                responses: [
                    Route.ResponseSpec(
                        status: 200, description: "The indicators that changed, and the executions that changed them",
                        schema: "SnapshotDiff"),
                    .problem(404, "No such job"), .retired,
                    .problem(422, "A parameter is invalid"), .problem(503, "Too many histories are being folded"),
                ], isHeavy: true, isLimited: true, handle: difference),
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/history", operation: "getHistory",
                summary: "The numbers of an indicator over time, with the cause of every decrease",
                parameters: [
                    .init(
                        name: "label", type: .string,
                        description: "The indicator; empty or absent for the default indicator"),
                    .init(
                        name: "points", type: .integer(Self.pointLimits),
                        description: "The maximum number of points; 500 by default. All decreases are included"),
                ],
                responses: [
                    Route.ResponseSpec(
                        status: 200, description: "The history of the indicator", schema: "IndicatorHistory"),
                    .problem(404, "No such job, or none of its events names the indicator"),
                    .retired,
                    .problem(422, "A parameter is invalid"), .problem(503, "Too many histories are being folded"),
                ], isHeavy: true, isLimited: true, handle: history),
        ]
    }

    private func difference(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let reader = PointInTimeQuery(service: service, job: job)
        let from = try await reader.sequenceOrTime("from", parameters) ?? .sequence(0)
        let to = try await reader.sequenceOrTime("to", parameters)
        if case .sequence(let first) = from, case .sequence(let last)? = to, first > last {
            throw HTTPProblem.invalid(parameter: "from", "is beyond to")
        }
        if case .time(let first) = from, case .time(let last)? = to, first > last {
            throw HTTPProblem.invalid(parameter: "from", "is later than to")
        }
        let limit = Int(try parameters.integer("limit", in: Self.changeLimits) ?? Self.changeLimitDefault)
        let policy = try parameters.choice("policy", CountingPolicy.self) ?? .last
        let difference = try await service.difference(job, from: from, to: to, counting: policy, limit: limit)
        guard let difference else { throw HTTPProblem.noSuchJob(job.description) }
        return .json { difference.write(to: &$0) }
    }

    private func history(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let label = try parameters.label("label")
        let points = Int(try parameters.integer("points", in: Self.pointLimits) ?? Self.pointLimitDefault)
        switch try await service.history(job, label, points: points) {
        case .found(let history): return .json { history.write(to: &$0) }
        case .noSuchJob: throw HTTPProblem.noSuchJob(job.description)
        case .noSuchIndicator: throw HTTPProblem.noSuchIndicator(label, of: job)
        }
    }
}
