internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The route that lists the tasks of a job.
struct TaskRoutes: Sendable {
    private let service: any LedgerService
    private let longRequests: LongRequests

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        longRequests = dependencies.longRequests
    }

    private static let pageSizes: ClosedRange<Int64> = 1...1_000
    private static let pageSizeDefault: Int64 = 100

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/tasks", operation: "listTasks",
                summary:
                    "The tasks of a job with their executions, in the order of their first events or in another one",
                parameters: [
                    .init(
                        name: "state", type: .choice(TaskState.allCases.map(\.rawValue)),
                        description: "Only tasks in this state"),
                    .init(
                        name: "silent", type: .choice(["true", "false"]),
                        description: "true: only tasks with a silent execution"),
                    .init(name: "task", type: .string, description: "Only the task with this name"),
                    .init(
                        name: "search", type: .string,
                        description: "Only tasks with this text in the name, ignoring the case of letters"),
                    .init(
                        name: "order", type: .choice(TaskOrder.allCases.map(\.rawValue)),
                        description:
                            "By start (started, newest), name, number of executions (attempts), duration of the last one "
                            + "(longest) or its last event (quietest). Only the first two have further pages"),
                    .init(
                        name: "limit", type: .integer(Self.pageSizes),
                        description: "Tasks per page; 100 by default. A page may be shorter without being the last one"),
                    .init(name: "cursor", type: .string, description: "The next_cursor of the previous page"),
                ] + Route.Parameter.moments,
                responses: [
                    Route.ResponseSpec(status: 200, description: "A page of tasks", schema: "TaskPage"),
                    .problem(404, "No such job"), .retired,
                    .problem(422, "A parameter is invalid"), .problem(503, "Too many histories are being folded"),
                ], isHeavy: true, handle: list)
        ]
    }

    private func list(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let filter = TaskFilter(
            state: try parameters.choice("state", TaskState.self), onlySilent: try parameters.flag("silent"),
            name: try parameters.name("task"), search: try parameters.name("search"),
            order: try parameters.choice("order", TaskOrder.self) ?? .started)
        let limit = Int(try parameters.integer("limit", in: Self.pageSizes) ?? Self.pageSizeDefault)
        var cursor: TaskID?
        if let text = parameters["cursor"] {
            guard let sequence = EventSequence(text), sequence > .start else {
                throw HTTPProblem.invalid(parameter: "cursor", "is not a next_cursor of a page")
            }
            cursor = TaskID(sequence)
        }
        let page =
            if let moment = try await PointInTimeQuery(service: service, job: job).moment(parameters) {
                try await longRequests.holding(request.access) {
                    try await service.tasks(job, filter, at: moment, limit: limit, after: cursor)
                }
            } else {
                try await service.tasks(job, filter, at: nil, limit: limit, after: cursor)
            }
        guard let page else { throw HTTPProblem.noSuchJob(job.description) }
        return .json { writer in
            writer.object { writer in
                writer.field("sequence", page.sequence)
                writer.name("tasks")
                writer.array(page.tasks) { $1.write(to: &$0) }
                writer.field("next_cursor", page.nextCursor.map { $0.sequence.description })
            }
        }
    }
}
