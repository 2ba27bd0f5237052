internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// How a job came to where it stands.
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
                method: .get, path: "/v1/jobs/{job}/diff", operation: "getDifference",
                summary: "What happened to a job between two moments, and why numbers fell",
                parameters: [
                    .init(
                        name: "from", type: .string,
                        description: "The earlier moment: a sequence or a time; 0, before the first event, unless told"),
                    .init(
                        name: "to", type: .string,
                        description: "The later moment: a sequence or a time; the last event unless told"),
                    .init(
                        name: "limit", type: .integer(Self.changeLimits),
                        description: "Changes of each kind that are listed, 100 unless told; all are counted"),
                    .policy,
                ],
                outcomes: [
                    Route.ResponseSpec(
                        status: 200, description: "The indicators that changed, and the runs that changed them",
                        schema: "Difference"),
                    .problem(404, "No such job"), .problem(410, "Events that the answer needs were retired"),
                    .problem(422, "A parameter is invalid"), .problem(503, "Too many histories are being folded"),
                ], isHeavy: true, handle: difference),
            Route(
                method: .get, path: "/v1/jobs/{job}/history", operation: "getHistory",
                summary: "How an indicator came to its numbers, every decrease with its cause",
                parameters: [
                    .init(
                        name: "label", type: .string, description: "The indicator; empty or absent is the default one"),
                    .init(
                        name: "points", type: .integer(Self.pointLimits),
                        description: "At most so many points, 500 unless told, or as many as there are decreases"),
                ],
                outcomes: [
                    Route.ResponseSpec(status: 200, description: "The curve", schema: "Curve"),
                    .problem(404, "No such job, or no event has named the indicator"),
                    .problem(410, "Events that the answer needs were retired"),
                    .problem(422, "A parameter is invalid"), .problem(503, "Too many histories are being folded"),
                ], isHeavy: true, handle: history),
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
        switch try await service.curve(job, label, points: points) {
        case .found(let curve): return .json { curve.write(to: &$0) }
        case .noSuchJob: throw HTTPProblem.noSuchJob(job.description)
        case .noSuchIndicator: throw HTTPProblem.noSuchIndicator(label, of: job)
        }
    }
}
