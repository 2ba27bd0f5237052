internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import NIOCore

/// The history of a job.
struct EventRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        settings = dependencies.settings
    }

    private static let pageSizes: ClosedRange<Int64> = 1...1_000
    private static let pageSizeDefault: Int64 = 100
    /// How many events are in cache while all are streamed.
    private static let streamedAtOnce = 500

    var routes: [Route] {
        [
            Route(
                method: .get, path: "/v1/jobs/{job}/events", operation: "listEvents",
                summary:
                    "The history of a job with the verdict of every event; all of it with Accept: application/x-ndjson",
                parameters: [
                    .init(
                        name: "after", type: .integer(0...Int64.max),
                        description: "Events beyond this sequence, in the order asked for"),
                    .init(
                        name: "limit", type: .integer(Self.pageSizes), description: "Events in a page; 100 unless told"),
                    .init(name: "order", type: .choice(["asc", "desc"]), description: "By sequence"),
                    .init(name: "task", type: .string, description: "Only events of this task"),
                    .init(
                        name: "execution", type: .string,
                        description: "Only events of executions of this name, as shown"),
                    .init(
                        name: "label", type: .string,
                        description: "Only progress on this indicator; empty is the default one"),
                    .init(
                        name: "type", type: .choice(EventType.allCases.map(\.name)),
                        description: "Only events of this type"),
                    .init(
                        name: "verdict", type: .choice(Verdict.allCases.map(\.rawValue)),
                        description: "Only events of this verdict"),
                ],
                outcomes: [
                    Route.ResponseSpec(status: 200, description: "A page of events", schema: "EventPage"),
                    .problem(404, "No such job"), .problem(422, "A parameter is invalid"),
                ], isHeavy: true, handle: list)
        ]
    }

    private func list(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let filter = try filter(parameters)
        let after = try parameters.integer("after", in: 0...Int64.max)
        let accept = request.request.headers[values: .accept].joined(separator: ",")
        if accept.contains("application/x-ndjson") {
            guard parameters["limit"] == nil else {
                throw HTTPProblem.invalid(parameter: "limit", "belongs to pages; a stream has all events")
            }
            return try await stream(job, filter, after, request.route.bound(settings, waiting: 0))
        }
        let limit = Int(try parameters.integer("limit", in: Self.pageSizes) ?? Self.pageSizeDefault)
        guard let page = try await service.events(job, filter, after: after, limit: limit) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        return .json { writer in
            writer.object { writer in
                writer.name("events")
                writer.array(page.events) { $1.write(to: &$0) }
                writer.field("next_after", page.nextAfter)
            }
        }
    }

    private func filter(_ parameters: QueryParameters) throws(HTTPProblem) -> EventFilter {
        var type: EventType?
        if let name = parameters["type"] {
            guard let known = EventType(name: name) else {
                throw .invalid(
                    parameter: "type", "must be one of \(EventType.allCases.map(\.name).joined(separator: ", "))")
            }
            type = known
        }
        let label = try parameters.name("label")
        return EventFilter(
            order: try parameters.choice("order", EventFilter.Order.self) ?? .ascending,
            task: try parameters.name("task"), execution: try parameters.name("execution"),
            indicator: label.map { EventFilter.Indicator(label: $0.text.utf8.isEmpty ? nil : $0) }, type: type,
            verdict: try parameters.choice("verdict", Verdict.self))
    }

    /// One event a line, as many as there are, in bounded cache: a part is read when the one before has been taken.
    private func stream(
        _ job: JobID, _ filter: EventFilter, _ after: Int64?, _ bound: TimeBound
    ) async throws -> LedgerResponse {
        guard let first = try await service.events(job, filter, after: after, limit: Self.streamedAtOnce) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        let service = service
        return LedgerResponse(
            status: .ok, headers: [.contentType: "application/x-ndjson"],
            body: .stream { body in
                var page = first
                while true {
                    var lines = JSONWriter()
                    for event in page.events {
                        event.write(to: &lines)
                        lines.newLine()
                    }
                    if !lines.bytes.isEmpty { try await body.write(ByteBuffer(bytes: lines.bytes)) }
                    guard let after = page.nextAfter else { return }
                    let next = try await bound.run(on: ComputeExecutor.shared) {
                        try await service.events(job, filter, after: after, limit: Self.streamedAtOnce)
                    }
                    guard let next else { return }
                    page = next
                }
            })
    }
}
