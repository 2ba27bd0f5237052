internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The routes that start and control replays.
///
/// A replay recomputes projections beside the live ones, compares them and, if requested, replaces the live ones.
struct ReplayRoutes: Sendable {
    private let service: any LedgerService

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
    }

    private static let listLimits: ClosedRange<Int64> = 1...1_000
    private static let listLimitDefault: Int64 = 100

    var routes: [Route] {
        [
            Route(
                access: .ledger(.admin), method: .post, path: "/v1/replays", operation: "beginReplay",
                summary: "Starts a replay, which recomputes projections beside the live ones, of one job or of all",
                body: Route.Body(schema: "ReplayRequest", takesLines: false),
                responses: [
                    Route.ResponseSpec(
                        status: 202,
                        description: "The replay has started; the job with the same id tracks its progress",
                        schema: "Replay"),
                    .problem(404, "No such job"), .retired, .problem(409, "Another replay is in progress"),
                    .problem(422, "The request is invalid"),
                ], isLimited: true, hasLocation: true, handle: begin),
            Route(
                access: .ledger(.read), method: .get, path: "/v1/replays", operation: "listReplays",
                summary: "Replays, newest first, without their differences",
                parameters: [
                    .init(
                        name: "limit", type: .integer(Self.listLimits),
                        description: "The maximum number of replays; 100 by default")
                ],
                responses: [
                    Route.ResponseSpec(status: 200, description: "The newest replays", schema: "Replays"),
                    .problem(422, "A parameter is invalid"),
                ], handle: list),
            Route(
                access: .ledger(.read), method: .get, path: "/v1/replays/{replay}", operation: "getReplay",
                summary: "The state of a replay, and the first \(Replay.differencesMax) differences that it has found",
                responses: [
                    Route.ResponseSpec(status: 200, description: "The replay", schema: "Replay"),
                    .problem(404, "No such replay"),
                ], handle: get),
            Route(
                access: .ledger(.admin), method: .post, path: "/v1/replays/{replay}/revert", operation: "revertReplay",
                summary: "Restores the projections from before an applied replay, in one transaction",
                responses: [
                    Route.ResponseSpec(status: 202, description: "The replay is being reverted", schema: "Replay"),
                    .problem(404, "No such replay"),
                    .problem(409, "The replay is not applied, or the earlier projections are no longer kept"),
                ], handle: revert),
            Route(
                access: .ledger(.admin), method: .delete, path: "/v1/replays/{replay}", operation: "dropReplay",
                summary: "Cancels a replay in progress, or deletes the projections that an ended one keeps",
                responses: [
                    Route.ResponseSpec(
                        status: 202, description: "The replay, which stays in the list", schema: "Replay"),
                    .problem(404, "No such replay"), .problem(409, "The replay is being reverted"),
                ], handle: drop),
        ]
    }

    private func begin(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let request = try await request.read { body, _ throws(RequestError) in try EventRequest.replay(body) }
        let replay = try await service.beginReplay(request)
        return accepted(replay, [.location: "/v1/replays/\(replay.id)"])
    }

    private func list(_ request: RouteRequest) async throws -> LedgerResponse {
        let limit = Int(try request.parameters().integer("limit", in: Self.listLimits) ?? Self.listLimitDefault)
        let replays = try await service.replays(limit: limit)
        return .json { writer in
            writer.object { writer in
                writer.name("replays")
                writer.array(replays) { $1.write(to: &$0) }
            }
        }
    }

    private func get(_ request: RouteRequest) async throws -> LedgerResponse {
        let replay = try await found(request) { try await service.replay($0) }
        return .json { replay.write(to: &$0) }
    }

    private func revert(_ request: RouteRequest) async throws -> LedgerResponse {
        accepted(try await found(request) { try await service.revertReplay($0) })
    }

    private func drop(_ request: RouteRequest) async throws -> LedgerResponse {
        accepted(try await found(request) { try await service.dropReplay($0) })
    }

    private func accepted(_ replay: Replay, _ headers: HTTPFields = [:]) -> LedgerResponse {
        .json(.accepted, headers: headers) { replay.write(to: &$0) }
    }

    private func found(_ request: RouteRequest, _ operation: (JobID) async throws -> Replay?) async throws -> Replay {
        _ = try request.parameters()
        let text = request.pathID ?? ""
        guard let id = JobID(text), let replay = try await operation(id) else {
            throw HTTPProblem(.notFound, "No such replay", "There is no replay \(text). See /v1/replays.")
        }
        return replay
    }
}
