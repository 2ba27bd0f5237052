internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import NIOCore

/// The routes that export a job with its hash chain, and import it elsewhere.
struct ExportRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        settings = dependencies.settings
    }

    /// The number of events in memory while a job is exported.
    private static let exportedAtOnce = 1_000

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/export", operation: "exportJob",
                summary:
                    "The ledger of a job as it was recorded: a header line, and a line for each event",
                responses: [
                    Route.ResponseSpec(
                        status: 200, description: "The events up to the head, with their hashes", schema: "Text",
                        mediaType: "application/x-ndjson"),
                    .problem(404, "No such job"), .retired,
                ], isHeavy: true, isLimited: true, handle: export),
            Route(
                access: .ledger(.admin), method: .post, path: "/v1/imports", operation: "importEvents",
                summary:
                    "Imports an export, or parts of it with at most \(Limits.eventsPerAppendMax) events after the same header line",
                body: Route.Body(schema: "Text", takesLines: true),
                responses: [
                    Route.ResponseSpec(status: 201, description: "Events were imported", schema: "Imported"),
                    Route.ResponseSpec(status: 200, description: "All events existed already", schema: "Imported"),
                    .problem(409, "The events do not continue the job's ledger, or differ from it"),
                    .problem(422, "The events are not as they were recorded"),
                ], isLimited: true, handle: importEvents),
        ]
    }

    private func export(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        _ = try request.parameters()
        guard let first = try await service.excerpt(job, after: 0, limit: Self.exportedAtOnce) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        guard !first.events.isEmpty else {
            throw StoreError(.incomplete, "the events of job \(job) are missing", jobs: [job])
        }
        let (service, bound) = (service, request.route.bound(settings, waiting: 0))
        return LedgerResponse(
            status: .ok, headers: [.contentType: "application/x-ndjson"],
            body: .stream { body in
                var lines = JSONWriter()
                first.writeHeader(to: &lines)
                lines.newLine()
                var part = first.events
                while let last = part.last?.event.sequence {
                    for event in part {
                        event.write(to: &lines)
                        lines.newLine()
                    }
                    try await body.write(ByteBuffer(bytes: lines.bytes))
                    lines = JSONWriter()
                    // Events that were appended after the header was written are not part of the export.
                    let limit = min(Self.exportedAtOnce, first.head.sequence - last)
                    guard limit > 0 else { return }
                    let next = try await bound.run(on: ComputeExecutor.shared) {
                        try await service.excerpt(job, after: last, limit: limit)
                    }
                    guard let next, !next.events.isEmpty else {
                        throw StoreError(.incomplete, "event \(last + 1) of job \(job) is missing", jobs: [job])
                    }
                    part = next.events
                }
            })
    }

    private func importEvents(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        guard request.content?.format == .lines else {
            throw HTTPProblem(
                .unsupportedMediaType, "Unsupported media type",
                "Send an unchanged export with Content-Type: application/x-ndjson.")
        }
        let excerpt = try await request.read { body, _ throws(RequestError) in try ImportRequest.excerpt(body) }
        let outcome = try await service.importExcerpt(excerpt)
        return .json(outcome.appended > 0 ? .created : .ok) { writer in
            writer.object { writer in
                writer.field("job", outcome.job.description)
                writer.field("appended", outcome.appended)
                writer.field("ledger_sequence", outcome.position.sequence)
                writer.field("complete", outcome.position.sequence >= excerpt.head.sequence)
            }
        }
    }
}
