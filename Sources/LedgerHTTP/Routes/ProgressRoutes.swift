internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The route that returns the snapshot of a job.
struct ProgressRoutes: Sendable {
    private let service: any LedgerService
    private let endpoint: SnapshotEndpoint
    private let settings: ServerSettings
    private let longRequests: LongRequests

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        endpoint = SnapshotEndpoint(dependencies)
        settings = dependencies.settings
        longRequests = dependencies.longRequests
    }

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/progress", operation: "getProgress",
                summary: "The snapshot of a job",
                parameters: [
                    .init(
                        name: "min_sequence", type: .integer(0...Int64.max),
                        description: "Wait until the snapshot has reached this sequence, up to 5 s"),
                    .policy,
                ] + Route.Parameter.moments,
                responses: [
                    Route.ResponseSpec(status: 200, description: "The snapshot", schema: "Job"),
                    .unchanged, .problem(404, "No such job"), .retired,
                    .problem(422, "A parameter is invalid"), .problem(503, "Too many histories are being folded"),
                    .problem(504, "The snapshot did not reach min_sequence in time"),
                ], prefersWait: true, fastPath: endpoint.fastPath, handle: get)
        ]
    }

    private func get(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let policy = try parameters.choice("policy", CountingPolicy.self) ?? .last
        if let moment = try await moment(parameters, job) {
            return try await historic(request, moment, policy)
        }
        let sequence = try parameters.sequence("min_sequence") ?? .start
        if sequence > .start { try await waitUntilFolded(job, sequence) }
        return try await endpoint.respond(to: request, policy: policy, atLeast: sequence)
    }

    /// Waits until the snapshot has reached this sequence.
    ///
    /// Event N may not exist yet: a replica may lag, or its writer is about to write it.
    private func waitUntilFolded(_ job: JobID, _ sequence: EventSequence) async throws {
        guard let stamp = try await service.stamp(of: job) else { throw HTTPProblem.noSuchJob(job.description) }
        if stamp.sequence >= sequence { return }
        guard try await service.waitUntilFolded(job, sequence: sequence, deadline: settings.foldDeadline) else {
            throw HTTPProblem(
                .gatewayTimeout, "Not yet",
                "The snapshot did not reach sequence \(sequence) within \(settings.foldDeadline); see /readyz.")
        }
    }

    /// The requested moment in the past; nil for the present.
    private func moment(_ parameters: QueryParameters, _ job: JobID) async throws -> PointInTime? {
        for (name, other) in [("at", "at_sequence"), ("min_sequence", "at"), ("min_sequence", "at_sequence")]
        where parameters[name] != nil && parameters[other] != nil {
            throw HTTPProblem.invalid(parameter: name, "cannot be given together with \(other)")
        }
        return try await PointInTimeQuery(service: service, job: job).moment(parameters)
    }

    private func historic(_ request: RouteRequest, _ moment: PointInTime, _ policy: CountingPolicy) async throws
        -> LedgerResponse
    {
        let job = try request.job()
        let service = service
        // Folding may compute for long, and must not delay other connections.
        let view = try await longRequests.holding(request.access) {
            try await withTaskExecutorPreference(ComputeExecutor.shared) {
                try await service.job(job, at: moment, counting: policy)
            }
        }
        guard let view else { throw HTTPProblem.noSuchJob(job.description) }
        return .json { view.write(to: &$0, now: .now) }
    }
}

extension HTTPFields {
    /// The seconds of `Prefer: wait=SECONDS` (RFC 7240); 0 if there is no such field.
    var preferredWait: Int {
        for preference in self[values: .prefer].flatMap({ $0.split(separator: ",") }) {
            let parts = preference.split(separator: "=").map { $0.filter { $0 != " " } }
            if parts.count == 2, parts[0].lowercased() == "wait", let seconds = Int(parts[1]), seconds > 0 {
                return seconds
            }
        }
        return 0
    }
}

extension HTTPField.Name {
    /// The name of a header field, from a literal.
    static func literal(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else {
            preconditionFailure("\(name) is not a valid name of a header field")
        }
        return name
    }

    /// The field of RFC 7240.
    static let prefer = literal("Prefer")
    static let preferenceApplied = literal("Preference-Applied")
}
