internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerTilebox
internal import LedgerWire

/// The routes by which Tilebox's SDK reads jobs.
///
/// They are remote procedure calls by Connect or gRPC; the media type of a request selects the format. The SDK also
/// sends its own spans and logs to the server that it reads from. These are received and dropped.
struct TileboxRoutes: Sendable {
    private let service: any LedgerService
    private let control: AccessControl

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        control = dependencies.control
    }

    private static let telemetryTypes = ["application/x-protobuf"]

    var routes: [Route] {
        [
            call("GetJob", operation: "tileboxGetJob", summary: "A job, for Tilebox's SDK", isHeavy: false, getJob),
            call(
                "QueryJobs", operation: "tileboxQueryJobs", summary: "Jobs, newest first, for Tilebox's SDK",
                isHeavy: true, queryJobs),
            telemetry("traces", operation: "tileboxTraces"), telemetry("logs", operation: "tileboxLogs"),
        ]
    }

    private func call(
        _ method: String, operation: String, summary: String, isHeavy: Bool,
        _ answer: @escaping @Sendable (_ message: [UInt8], Access) async throws -> [UInt8]
    ) -> Route {
        Route(
            access: .jobs(.read), method: .post, path: "/workflows.v1.JobService/\(method)", operation: operation,
            summary: summary,
            body: .binary(
                Route.Body.Binary(
                    mediaTypes: CallFormat.mediaTypes, bytesMax: CallFormat.messageBytesMax)),
            responses: [
                Route.ResponseSpec(
                    status: 200, description: "The response; in gRPC also any error", schema: "Text",
                    mediaType: CallFormat.connect.mediaType),
                .problem(404, "No such job"),
            ], isHeavy: isHeavy, isQuery: true, refusal: Self.refusal
        ) { request in
            let headers = request.request.headers
            guard let format = CallFormat(headers) else {
                preconditionFailure("the body of a call has one of the formats of its route")
            }
            let encoding = headers[.literal(format.encodingField)]
            let bytes: [UInt8]
            do {
                let message = try await request.read { body, _ throws(CallError) in
                    try format.message(in: body, encoding: encoding)
                }
                bytes = format.body(try await answer(message, request.access))
            } catch let error as CallError {
                throw HTTPProblem(error)
            }
            var response = LedgerResponse(status: .ok, contentType: format.mediaType, bytes: bytes)
            if case .grpc = format { response.trailers = [.grpcStatus: "0"] }
            return response
        }
    }

    /// Responds with the job that has an id, or the id as its key.
    ///
    /// A runner of Tilebox that reports to the ledger uses Tilebox's id of a job as the key.
    private func getJob(_ message: [UInt8], _ access: Access) async throws -> [UInt8] {
        let id = try TileboxMessage.jobID(ofGetJob: message)
        var view: JobView?
        if try await control.find(id, access.confinement) { view = try await service.job(id) }
        if view == nil {
            let filter = JobFilter(key: Name(id.description)).confined(to: access.confinement)
            view = try await service.jobs(filter, limit: 1, after: nil).first
        }
        guard let view else {
            let problem = HTTPProblem.noSuchJob(id.description)
            throw access.confinement.isUnconfined ? problem : problem.refusing(.confinement, by: access)
        }
        return TileboxMessage.response(view, now: .now)
    }

    private func queryJobs(_ message: [UInt8], _ access: Access) async throws -> [UInt8] {
        let query = try JobQuery(message: message)
        var found: [JobView] = []
        for filter in query.filters {
            found += try await service.jobs(
                filter.confined(to: access.confinement), limit: query.limit, after: query.cursor)
        }
        return query.response(found, now: .now)
    }

    /// Makes the response to a call that has failed.
    ///
    /// A request in another format gets problem+json.
    private static func refusal(
        _ problem: HTTPProblem, _ fields: HTTPFields, _ identity: RequestIdentity
    ) -> LedgerResponse {
        guard let format = CallFormat(fields) else { return problem.response(to: identity) }
        let error = CallError(CallError.Code(status: problem.details.status), problem.details.detail)
        let headers = problem.headers(for: identity)
        switch format {
        case .connect:
            return .json(HTTPResponse.Status(code: error.code.status), headers: headers) { writer in
                writer.object {
                    $0.field("code", error.code.rawValue)
                    $0.field("message", error.message)
                }
            }
        case .grpc:
            var response = LedgerResponse(status: .ok, headers: headers, contentType: format.mediaType, bytes: [])
            response.trailers = [
                .grpcStatus: String(error.code.number), .grpcMessage: error.encodedMessage,
            ]
            return response
        }
    }

    /// The route for spans or logs in the OpenTelemetry Protocol.
    ///
    /// Its empty response is a valid message: everything was accepted.
    private func telemetry(_ name: String, operation: String) -> Route {
        Route(
            access: .general(.read), method: .post, path: "/v1/\(name)", operation: operation,
            summary: "Drops the \(name) of Tilebox's SDK",
            body: .binary(Route.Body.Binary(mediaTypes: Self.telemetryTypes, isDropped: true)),
            responses: [
                Route.ResponseSpec(
                    status: 200, description: "They were received and dropped", schema: "Text",
                    mediaType: Self.telemetryTypes[0])
            ], isQuery: true
        ) { _ in
            LedgerResponse(status: .ok, contentType: Self.telemetryTypes[0], bytes: [])
        }
    }
}

extension HTTPProblem {
    /// A call with a message that is refused.
    fileprivate init(_ error: CallError) {
        self.init(
            error.code == .resourceExhausted ? .contentTooLarge : HTTPResponse.Status(code: error.code.status),
            "Call refused", error.message)
    }
}

extension CallFormat {
    /// The format of a request with these header fields; nil for another one.
    fileprivate init?(_ fields: HTTPFields) { self.init(mediaType: MediaType(fields[.contentType] ?? "").name) }
}

extension HTTPField.Name {
    fileprivate static let grpcStatus = literal("grpc-status")
    fileprivate static let grpcMessage = literal("grpc-message")
}
