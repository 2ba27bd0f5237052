internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The routes that create, find and list jobs.
struct JobRoutes: Sendable {
    private let service: any LedgerService
    private let endpoint: SnapshotEndpoint
    private let control: AccessControl

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        control = dependencies.control
        endpoint = SnapshotEndpoint(dependencies)
    }

    private static let pageSizes: ClosedRange<Int64> = 1...1_000
    private static let pageSizeDefault: Int64 = 100

    private static let pageParameters: [Route.Parameter] = [
        .init(name: "key", type: .string, description: "Only the job with this key"),
        .init(
            name: "order", type: .choice(JobFilter.Order.allCases.map(\.rawValue)),
            description: "desc: newest first, as by default; asc: oldest first"),
        .init(
            name: "counts", type: .choice(QueryParameters.Flag.allCases.map(\.rawValue)),
            description: """
                true: also the numbers of matching jobs by state, each up to \(JobCountsByState.countMax). Of each state, \
                only the newest \(JobCountsByState.examinedMax) jobs are examined
                """),
        .init(name: "limit", type: .integer(pageSizes), description: "Jobs per page; 100 by default"),
        .init(name: "cursor", type: .string, description: "The next_cursor of the previous page"),
    ]

    var routes: [Route] {
        [
            Route(
                access: .jobs(.report), method: .post, path: "/v1/jobs", operation: "createJob",
                summary: "Creates a job, or returns the job with the same key and content",
                body: Route.Body(schema: "JobRequest", takesLines: false),
                responses: [
                    Route.ResponseSpec(status: 201, description: "The new job", schema: "Job"),
                    Route.ResponseSpec(status: 200, description: "The existing job", schema: "Job"),
                    .problem(409, "Another job has this key"), .retired, .problem(422, "The request is invalid"),
                ], hasLocation: true, handle: create),
            Route(
                access: .jobs(.read), method: .get, path: "/v1/jobs", operation: "listJobs",
                summary: "Jobs, newest first",
                parameters: Route.Parameter.jobFilters + Self.pageParameters,
                responses: [
                    Route.ResponseSpec(status: 200, description: "A page of jobs", schema: "JobPage"),
                    .problem(422, "A parameter is invalid"),
                ], isHeavy: true, handle: list),
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}", operation: "getJob",
                summary: "A job with its snapshot",
                responses: [
                    Route.ResponseSpec(status: 200, description: "The job", schema: "Job"),
                    .unchanged, .problem(404, "No such job"), .retired,
                ], prefersWait: true, fastPath: endpoint.fastPath, handle: get),
        ]
    }

    private func create(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let description = try confined(
            await request.read { body, _ throws(RequestError) in try EventRequest.description(body) }, request.access)
        try await checkReservedTags(of: description)
        let (view, isNew) = try await create(
            description, request.access, idempotencyKey: request.request.headers.idempotencyKey())
        let location = "/v1/jobs/\(view.id)"
        return .json(isNew ? .created : .ok, headers: [.location: location]) { view.write(to: &$0, now: .now) }
    }

    /// The description with the tags to which the caller is confined.
    private func confined(_ description: JobDescription, _ access: Access) throws(HTTPProblem) -> JobDescription {
        let confined: JobDescription
        do {
            confined = try description.confined(to: access.confinement)
        } catch {
            let reason =
                error.tag.map { "only jobs with the tag \($0)=\(access.confinement.tags[$0] ?? "")" } ?? "no jobs"
            throw HTTPProblem(
                .forbidden, "Confined", "Nothing was recorded: the token may create \(reason)."
            ).refusing(.confinement, by: access)
        }
        let errors = confined.fieldErrors()
        guard errors.isEmpty else { throw HTTPProblem(RequestError.invalid(errors)) }
        return confined
    }

    /// Refuses a new job with an invalid value of a reserved tag.
    ///
    /// A request for a job that exists, by its key, is answered as ever.
    private func checkReservedTags(of description: JobDescription) async throws {
        let errors = description.reservedTagErrors()
        guard !errors.isEmpty else { return }
        if let key = description.key {
            guard try await service.jobs(JobFilter(key: key), limit: 1, after: nil).isEmpty else { return }
        }
        throw HTTPProblem(RequestError.invalid(errors))
    }

    /// Creates a job.
    ///
    /// The error for a key of a job outside the caller's confinement does not name that job.
    private func create(
        _ description: JobDescription, _ access: Access, idempotencyKey: Name?
    ) async throws -> (view: JobView, created: Bool) {
        do {
            return try await service.createJob(
                description, by: access.reporter, idempotencyKey: idempotencyKey)
        } catch {
            guard error.code == .keyTaken, !access.confinement.isUnconfined,
                try await !control.missing(Set(error.jobs), access.confinement).isEmpty
            else { throw error }
            throw HTTPProblem(
                .conflict, "Key taken", "Nothing was recorded: another job of this ledger has the key.")
        }
    }

    private func list(_ request: RouteRequest) async throws -> LedgerResponse {
        let parameters = try request.parameters()
        var filter = try parameters.jobFilter().confined(to: request.access.confinement)
        filter.key = try parameters.name("key")
        let limit = Int(try parameters.integer("limit", in: Self.pageSizes) ?? Self.pageSizeDefault)
        let cursor = try parameters.jobCursor()
        let order = try parameters.choice("order", JobFilter.Order.self) ?? .newest
        let list = try await service.jobList(filter, in: order, limit: limit, after: cursor)
        let views = list.jobs
        let counts = try parameters.flag("counts") ? try await service.countJobs(filter) : nil
        return .json { writer in
            writer.object { writer in
                writer.name("jobs")
                writer.array(views) { $1.write(to: &$0, now: .now) }
                writer.field("next_cursor", views.count == limit ? views.last?.id.description : nil)
                if let counts {
                    writer.name("counts")
                    writer.object { writer in
                        for state in JobState.allCases { writer.field(state.rawValue, counts[state]) }
                        writer.name("incomplete")
                        writer.array(JobState.allCases.filter(counts.incomplete.contains)) { $0.string($1.rawValue) }
                    }
                }
                guard !list.missingShards.isEmpty else { return }
                writer.name("missing_shards")
                writer.array(list.missingShards) { $0.integer(Int64($1)) }
            }
        }
    }

    private func get(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        return try await endpoint.respond(to: request, policy: .last)
    }
}

extension Route.ResponseSpec {
    static let unchanged = Route.ResponseSpec(
        status: 304,
        description: "Unchanged since the ETag in If-None-Match; with Prefer: wait=SECONDS, unchanged for that time")

    static let retired = Route.ResponseSpec(
        status: 410, description: "The job was retired, or events are missing", schema: "RetiredProblem",
        mediaType: "application/problem+json")

    static let jobCanceled = Route.ResponseSpec(
        status: 409, description: "The job is canceled, and the request has unless_canceled", schema: "CanceledProblem",
        mediaType: "application/problem+json")

    static func problem(_ status: Int, _ description: String) -> Route.ResponseSpec {
        Route.ResponseSpec(
            status: status, description: description, schema: "Problem", mediaType: "application/problem+json")
    }
}

extension HTTPFields {
    /// The maximum length of an idempotency key, in characters.
    private static let idempotencyKeyMax = 255

    /// The value of `Idempotency-Key`; nil without that header.
    fileprivate func idempotencyKey() throws(HTTPProblem) -> Name? {
        let values = self[values: .idempotencyKey]
        guard let value = values.first else { return nil }
        guard values.count == 1, (1...Self.idempotencyKeyMax).contains(value.utf8.count),
            value.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw HTTPProblem(
                .unprocessableContent, "Invalid Idempotency-Key",
                "Nothing was recorded: an Idempotency-Key must have 1 to \(Self.idempotencyKeyMax) visible ASCII "
                    + "characters, and be given only once.")
        }
        return Name(value)
    }
}

extension HTTPField.Name {
    static let idempotencyKey = literal("Idempotency-Key")
}
