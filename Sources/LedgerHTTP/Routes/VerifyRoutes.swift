internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// Proving that a job's ledger is as it was recorded.
struct VerifyRoutes: Sendable {
    private let service: any LedgerService

    init(_ surroundings: RouteTable.Surroundings) {
        service = surroundings.service
    }

    var routes: [Route] {
        [
            Route(
                method: .get, path: "/v1/jobs/{job}/verify", operation: "verifyJob",
                summary:
                    "Recomputes the hash chain of a job from its events, up to its head, and says what is wrong first",
                outcomes: [
                    Route.Outcome(status: 200, description: "What was found", schema: "Verification"),
                    .problem(404, "No such job"),
                ], isHeavy: true, handle: verify)
        ]
    }

    private func verify(_ call: Call) async throws -> Answer {
        let job = try call.job()
        _ = try call.parameters()
        guard let verification = try await service.verify(job) else { throw HTTPProblem.noSuchJob(job.description) }
        return .json { VerificationAnswer(job: job, verification).write(to: &$0) }
    }
}
