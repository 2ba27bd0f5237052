internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The routes that append events.
struct AppendRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings
    private let endpoint: AppendEndpoint
    private let control: AccessControl

    init(_ dependencies: RouteTable.Dependencies) {
        endpoint = AppendEndpoint(dependencies)
        service = dependencies.service
        control = dependencies.control
        settings = dependencies.settings
    }

    var routes: [Route] {
        [
            Route(
                access: .job(.report), method: .post, path: "/v1/jobs/{job}/events", operation: "appendEvents",
                summary: "Appends events to a job: all or nothing, in order, contiguous",
                parameters: [
                    .init(
                        name: "wait", type: .choice(["folded"]),
                        description:
                            "Respond after the projection has folded the events, with their verdicts; waits up to 5 s"),
                    .init(
                        name: "unless_canceled", type: .choice(QueryParameters.Flag.allCases.map(\.rawValue)),
                        description:
                            "With true, nothing is recorded if the job is canceled: for appends that start executions"),
                ],
                body: Route.Body(schema: "EventsRequest", takesLines: true),
                responses: [
                    Route.ResponseSpec(status: 201, description: "Durably recorded", schema: "Appended"),
                    .problem(404, "No such job"), .jobCanceled, .retired, .problem(413, "Too large"),
                    .problem(422, "The request is invalid"),
                    .problem(503, "The ledger cannot accept more events now"),
                ], fastPath: endpoint.fastPath, handle: append),
            Route(
                access: .jobs(.report), method: .post, path: "/v1/events", operation: "appendEventsOfManyJobs",
                summary: "Appends events of many jobs: all or nothing",
                body: Route.Body(schema: "CollectedEventsRequest", takesLines: true),
                responses: [
                    Route.ResponseSpec(status: 201, description: "Durably recorded", schema: "AppendedToMany"),
                    .retired, .problem(413, "Too large"), .problem(422, "The request is invalid"),
                    .problem(503, "The ledger cannot accept more events now"),
                ], handle: appendMany),
        ]
    }

    /// The values of the parameter `wait`.
    private enum Wait: String, CaseIterable {
        case folded
    }

    private func append(_ request: RouteRequest) async throws -> LedgerResponse {
        let start = ContinuousClock.now
        let job = try request.job()
        let parameters = try request.parameters()
        let wait = try parameters.choice("wait", Wait.self)
        let unlessCanceled = try parameters.flag("unless_canceled")
        let drafts = try await request.read { body, format throws(RequestError) in
            try EventRequest.drafts(body, format)
        }
        let reported = drafts.reported(by: request.access)
        let range =
            unlessCanceled
            ? try await service.append(
                reported, to: job, unlessCanceledWithin: settings.foldDeadline(ofWriteStarted: start))
            : try await service.append(reported, to: job)
        guard wait == .folded else { return AppendEndpoint.response(range, service.knownState(of: job)) }
        let verdicts = await verdicts(job, range, within: settings.foldDeadline(ofWriteStarted: start))
        return AppendEndpoint.response(range, service.knownState(of: job)) { writer in
            writer.name("verdicts")
            if let verdicts { writer.array(verdicts) { $0.string($1?.rawValue) } } else { writer.null() }
        }
    }

    /// The verdicts; nil if the projection does not reach the events in time.
    ///
    /// The events are recorded, so a failure to read their verdicts is not a failure of the append.
    private func verdicts(
        _ job: JobID, _ range: ClosedRange<EventSequence>, within deadline: Duration
    ) async -> [Verdict?]? {
        do {
            return try await TimeBound(limit: deadline, cancelsWork: true).run(on: EventLoopExecutor.shared) {
                guard try await service.waitUntilFolded(job, sequence: range.upperBound, deadline: deadline)
                else { return nil }
                return try await service.verdicts(job, range)
            }
        } catch {
            return nil
        }
    }

    /// Appends events of many jobs.
    ///
    /// The error for an unknown job points at each event that names the job.
    private func record(
        _ entries: [(job: JobID, draft: EventDraft, location: EventRequest.Location)], _ access: Access
    ) async throws -> [(job: JobID, sequences: ClosedRange<EventSequence>)] {
        func unknown(_ jobs: Set<JobID>) -> RequestError {
            .invalid(
                entries.filter { jobs.contains($0.job) }.prefix(RequestError.errorsMax).map {
                    FieldError(pointer: "\($0.location.pointer)/job", detail: "there is no job \($0.job)")
                })
        }
        if !access.confinement.isUnconfined {
            let missing = try await control.missing(Set(entries.map(\.job)), access.confinement)
            guard missing.isEmpty else {
                throw HTTPProblem(unknown(missing)).refusing(.confinement, by: access)
            }
        }
        do {
            return try await service.append(
                entries.map { entry in
                    var draft = entry.draft
                    draft.reporter = access.reporter
                    return (entry.job, draft)
                })
        } catch {
            guard error.code == .unknownJob else { throw error }
            throw unknown(Set(error.jobs))
        }
    }

    private func appendMany(_ request: RouteRequest) async throws -> LedgerResponse {
        _ = try request.parameters()
        let entries = try await request.read { body, format throws(RequestError) in
            try EventRequest.entries(body, format)
        }
        let appended = try await record(entries, request.access)
        return .json(.created) { writer in
            writer.object { writer in
                writer.field("appended", entries.count)
                writer.name("jobs")
                writer.object { writer in
                    for (job, range) in appended {
                        writer.name(job.description)
                        writer.object { writer in
                            writer.field("first_sequence", range.lowerBound)
                            writer.field("last_sequence", range.upperBound)
                            writer.field("job_state", service.knownState(of: job)?.rawValue)
                        }
                    }
                }
            }
        }
    }
}
