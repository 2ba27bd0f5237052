internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The route that returns a straight answer about a job.
struct AnswerRoutes: Sendable {
    private let service: any LedgerService

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
    }

    /// The number of events up to which an answer verifies the hash chain.
    ///
    /// It takes 10 ms at this number.
    static let verifiedEventsMax: EventSequence = 1_000

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/answer", operation: "answerJob",
                summary:
                    "How far, when, what holds it up, and is it true: a short text with its facts, or the text alone with Accept: text/plain",
                responses: [
                    Route.ResponseSpec(
                        status: 200, description: "The answer, with the time to ask again in Retry-After",
                        schema: "Answer"),
                    .problem(404, "No such job"), .retired, .problem(422, "A parameter is invalid"),
                ], isHeavy: true, isLimited: true, handle: get)
        ]
    }

    private func get(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        _ = try request.parameters()
        guard let view = try await service.job(job) else { throw HTTPProblem.noSuchJob(job.description) }
        let verification =
            view.ledgerSequence <= Self.verifiedEventsMax
            ? try await service.verify(job, Verification.Range()) : nil
        var builder = AnswerBuilder(view: view, now: .now, verification: verification)
        if view.snapshot.tasks.failed > 0 {
            builder.failures =
                try await service.tasks(job, state: .failed, limit: AnswerBuilder.failuresMax, after: nil)?.tasks ?? []
        }
        let answer = builder.answer
        var headers = HTTPFields(retryAfter: answer.askAgain)
        headers[.vary] = "Accept"
        guard AcceptedTypes(request.request.headers).prefers("text/plain", to: "application/json") else {
            return .json(headers: headers) { answer.write(to: &$0) }
        }
        return LedgerResponse(
            status: .ok, headers: headers, contentType: "text/plain; charset=utf-8",
            bytes: Array("\(answer.text)\n".utf8))
    }
}
