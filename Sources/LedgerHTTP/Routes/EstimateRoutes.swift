internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The route that returns the track record of estimates.
struct EstimateRoutes: Sendable {
    private let service: any LedgerService

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
    }

    var routes: [Route] {
        [
            Route(
                access: .jobs(.read), method: .get, path: "/v1/estimates", operation: "getTrackRecord",
                summary: "How the estimates of completed jobs compared with their ends",
                parameters: [
                    .init(name: "name", type: .string, description: "The name of the jobs", isRequired: true)
                ],
                responses: [
                    Route.ResponseSpec(
                        status: 200, description: "The track record of the newest 1,000 jobs", schema: "NameRecord"),
                    .problem(422, "A parameter is invalid"),
                ], isHeavy: true, handle: get)
        ]
    }

    private func get(_ request: RouteRequest) async throws -> LedgerResponse {
        guard let name = try request.parameters().name("name") else {
            throw HTTPProblem.invalid(parameter: "name", "is required")
        }
        let record = try await service.trackRecord(of: name, within: request.access.confinement)
        return .json { NamedTrackRecord(name: name, record: record).write(to: &$0) }
    }
}
