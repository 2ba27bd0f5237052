internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The route that starts executions.
///
/// It fences them: a worker that was presumed dead learns that its execution is superseded.
struct ExecutionRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        settings = dependencies.settings
    }

    var routes: [Route] {
        [
            Route(
                access: .job(.report), method: .post, path: "/v1/jobs/{job}/executions", operation: "startExecution",
                summary: "Starts an execution of a task and supersedes all earlier ones",
                body: Route.Body(schema: "StartRequest", takesLines: false),
                responses: [
                    Route.ResponseSpec(
                        status: 201, description: "The execution is the last one of its task", schema: "Started"),
                    Route.ResponseSpec(
                        status: 409,
                        description:
                            "The execution is already superseded, or has a different attempt, or the job is canceled: "
                            + "stop it",
                        schema: "StartProblem", mediaType: "application/problem+json"),
                    .problem(404, "No such job"), .retired, .problem(422, "The request is invalid"),
                    .problem(503, "The projection cannot decide in time whether the job is canceled"),
                ], handle: start)
        ]
    }

    private func start(_ request: RouteRequest) async throws -> LedgerResponse {
        let start = ContinuousClock.now
        let job = try request.job()
        _ = try request.parameters()
        var (reference, link, unlessCanceled) = try await request.read { body, _ throws(RequestError) in
            try EventRequest.start(body)
        }
        // Without a name from the caller it is always a new execution.
        let name = reference.execution ?? service.newExecutionName()
        reference.execution = name
        let draft = EventDraft(.executionStarted(reference), reporter: request.access.reporter, link: link)
        let sequence =
            unlessCanceled
            ? try await service.append(
                [draft], to: job, unlessCanceledWithin: settings.foldDeadline(ofWriteStarted: start)
            ).lowerBound
            : try await service.append([draft], to: job).lowerBound
        let deadline = settings.foldDeadline(ofWriteStarted: start)
        guard let status = await status(of: name, reference.task, job, sequence, within: deadline) else {
            return started(reference.task, name, reference.attempt, sequence, in: job)
        }
        let execution = status.execution
        if let attempt = reference.attempt, attempt != execution.attempt {
            throw fenced(
                "Execution \(name) of task \(reference.task) has attempt \(execution.attempt), not \(attempt).",
                status)
        }
        guard status.isLast else {
            throw fenced(
                "Execution \(name) of task \(reference.task) is superseded by attempt \(status.last.attempt): its "
                    + "reports are recorded and do not count. Stop it.", status)
        }
        return started(reference.task, name, execution.attempt, execution.id.sequence, in: job)
    }

    /// The status of the execution after its start; nil if it cannot be read in time.
    ///
    /// The start is recorded in any case.
    private func status(
        of name: Name, _ task: Name, _ job: JobID, _ sequence: EventSequence, within deadline: Duration
    ) async -> ExecutionStatus? {
        do {
            return try await TimeBound(limit: deadline, cancelsWork: true).run(on: EventLoopExecutor.shared) {
                guard try await service.waitUntilFolded(job, sequence: sequence, deadline: deadline) else {
                    return nil
                }
                // The status as of this start. Its later reports show whether it has been superseded since.
                return try await service.status(of: name, task: task, in: job, at: sequence)
            }
        } catch {
            return nil
        }
    }

    private func started(
        _ task: Name, _ execution: Name, _ attempt: Int32?, _ sequence: EventSequence, in job: JobID
    ) -> LedgerResponse {
        .json(.created) { writer in
            writer.object { writer in
                writer.field("task", task.text)
                writer.field("execution", execution.text)
                writer.field("attempt", attempt)
                writer.field("sequence", sequence)
                writer.field("job_state", service.knownState(of: job)?.rawValue)
            }
        }
    }

    private func fenced(_ detail: String, _ status: ExecutionStatus) -> HTTPProblem {
        var problem = HTTPProblem(.conflict, "Superseded", detail)
        problem.more = { writer in
            writer.field("execution", status.execution.execution?.text)
            writer.field("attempt", status.execution.attempt)
            writer.field("sequence", status.execution.id.sequence)
            writer.name("last")
            writer.object { writer in
                writer.field("execution", status.last.execution?.text)
                writer.field("attempt", status.last.attempt)
            }
        }
        return problem
    }
}
