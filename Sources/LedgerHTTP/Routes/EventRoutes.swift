internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import NIOCore

/// The route that lists the events of a job.
struct EventRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        settings = dependencies.settings
    }

    private static let pageSizes: ClosedRange<Int64> = 1...1_000
    private static let pageSizeDefault: Int64 = 100
    /// The number of events in memory while events are streamed.
    private static let streamedAtOnce = 500

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/events", operation: "listEvents",
                summary:
                    "The events of a job with their verdicts: a page, or all with Accept: application/x-ndjson",
                parameters: [
                    .init(
                        name: "after", type: .integer(0...Int64.max),
                        description: "Only events after this sequence, in the chosen order"),
                    .init(
                        name: "limit", type: .integer(Self.pageSizes), description: "Events per page; 100 by default"),
                    .init(
                        name: "order", type: .choice(["asc", "desc"]),
                        description: "The order by sequence; asc by default"
                    ),
                    .init(name: "task", type: .string, description: "Only events of this task"),
                    .init(
                        name: "execution", type: .string,
                        description: "Only events of executions with this name, as the response shows it"),
                    .init(
                        name: "label", type: .string,
                        description: "Only progress of this indicator; empty for the default indicator"),
                    .init(
                        name: "type", type: .choice(EventType.allCases.map(\.name)),
                        description: "Only events of this type"),
                    .init(
                        name: "verdict", type: .choice(Verdict.allCases.map(\.rawValue)),
                        description: "Only events with this verdict"),
                ],
                responses: [
                    Route.ResponseSpec(status: 200, description: "A page of events", schema: "EventPage"),
                    .problem(404, "No such job"), .retired, .problem(422, "A parameter is invalid"),
                ], isHeavy: true, isLimited: true, handle: list)
        ]
    }

    private func list(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let filter = try filter(parameters)
        let after = try parameters.sequence("after")
        if AcceptedTypes(request.request.headers).prefers("application/x-ndjson", to: "application/json") {
            guard parameters["limit"] == nil else {
                throw HTTPProblem.invalid(parameter: "limit", "applies to pages only; a stream contains all events")
            }
            return try await stream(job, filter, after, request.route.bound(settings, waiting: 0))
        }
        let limit = Int(try parameters.integer("limit", in: Self.pageSizes) ?? Self.pageSizeDefault)
        guard let page = try await service.events(job, filter, after: after, limit: limit) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        return .json(headers: .varyByAccept) { writer in
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
            guard let namedType = EventType(name: name) else {
                throw .invalid(
                    parameter: "type", "must be one of \(EventType.allCases.map(\.name).joined(separator: ", "))")
            }
            type = namedType
        }
        let label = try parameters.name("label")
        return EventFilter(
            order: try parameters.choice("order", EventFilter.Order.self) ?? .ascending,
            task: try parameters.name("task"), execution: try parameters.name("execution"),
            indicator: label.map { EventFilter.Indicator(label: $0.text.utf8.isEmpty ? nil : $0) }, type: type,
            verdict: try parameters.choice("verdict", Verdict.self))
    }

    /// Streams all events, one per line, in bounded memory.
    ///
    /// Each part is read after the client has received the part before it.
    private func stream(
        _ job: JobID, _ filter: EventFilter, _ after: EventSequence?, _ bound: TimeBound
    ) async throws -> LedgerResponse {
        guard let first = try await service.events(job, filter, after: after, limit: Self.streamedAtOnce) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        let service = service
        return LedgerResponse(
            status: .ok, headers: [.contentType: "application/x-ndjson", .vary: "Accept"],
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
