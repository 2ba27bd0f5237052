internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// Starting executions, fenced: a zombie learns that it is one.
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
                method: .post, path: "/v1/jobs/{job}/executions", operation: "startExecution",
                summary: "Starts an execution of a task, which supersedes all earlier ones",
                body: Route.Body(schema: "StartRequest", takesLines: false),
                outcomes: [
                    Route.ResponseSpec(
                        status: 201, description: "It is the last execution of its task", schema: "Started"),
                    Route.ResponseSpec(
                        status: 409, description: "It is superseded already, or has another attempt: stop",
                        schema: "FencedProblem", mediaType: "application/problem+json"),
                    .problem(404, "No such job"), .problem(422, "Something is invalid"),
                ], handle: start)
        ]
    }

    private func start(_ request: RouteRequest) async throws -> LedgerResponse {
        let start = ContinuousClock.now
        let job = try request.job()
        _ = try request.parameters()
        var reference = try await request.read { body, _ throws(RequestError) in try EventRequest.start(body) }
        // Where the caller gives no name, it is always a new execution.
        let name = reference.execution ?? service.newExecutionName()
        reference.execution = name
        let sequence = try await service.append([EventDraft(.executionStarted(reference))], to: job).lowerBound
        let deadline = settings.foldDeadline(ofWriteBegun: start)
        guard let standing = await standing(of: name, reference.task, job, sequence, within: deadline) else {
            return started(reference.task, name, reference.attempt, sequence)
        }
        let execution = standing.execution
        if let attempt = reference.attempt, attempt != execution.attempt {
            throw fenced(
                "Execution \(name) of task \(reference.task) has attempt \(execution.attempt), not \(attempt).",
                standing)
        }
        guard standing.isLast else {
            throw fenced(
                "Execution \(name) of task \(reference.task) is superseded by attempt \(standing.last.attempt): what it "
                    + "reports is recorded and does not count. Stop it.", standing)
        }
        return started(reference.task, name, execution.attempt, execution.sequence)
    }

    /// What the fold makes of the start; nil where it does not get there in time, or cannot be read. The start is
    /// recorded in any case.
    private func standing(
        of name: Name, _ task: Name, _ job: JobID, _ sequence: Int64, within deadline: Duration
    ) async -> ExecutionStatus? {
        do {
            return try await TimeBound(limit: deadline, cancelsWork: true).run(on: EventLoopExecutor.shared) {
                guard try await service.waitUntilFolded(job, sequence: sequence, deadline: deadline) else {
                    return nil
                }
                // As it stood when this start arrived: what has superseded it since is for its reports to learn.
                return try await service.standing(of: name, task: task, in: job, at: sequence)
            }
        } catch {
            return nil
        }
    }

    private func started(_ task: Name, _ execution: Name, _ attempt: Int32?, _ sequence: Int64) -> LedgerResponse {
        .json(.created) { writer in
            writer.object { writer in
                writer.field("task", task.text)
                writer.field("execution", execution.text)
                writer.field("attempt", attempt)
                writer.field("sequence", sequence)
            }
        }
    }

    private func fenced(_ detail: String, _ standing: ExecutionStatus) -> HTTPProblem {
        var problem = HTTPProblem(.conflict, "Superseded", detail)
        problem.more = { writer in
            writer.field("execution", standing.execution.execution?.text)
            writer.field("attempt", standing.execution.attempt)
            writer.field("sequence", standing.execution.sequence)
            writer.name("last")
            writer.object { writer in
                writer.field("execution", standing.last.execution?.text)
                writer.field("attempt", standing.last.attempt)
            }
        }
        return problem
    }
}
