internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The routes that verify a job's ledger and list the heads of all jobs.
struct VerifyRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        settings = dependencies.settings
    }

    /// The number of events that are checked between two readings of the clock.
    private static let checkedAtOnce: Int = 50_000
    private static let checkLimits: ClosedRange<Int64> = 1...10_000_000
    private static let pageSizes: ClosedRange<Int64> = 1...1_000
    private static let pageSizeDefault: Int64 = 100

    var routes: [Route] {
        [
            Route(
                access: .job(.read), method: .get, path: "/v1/jobs/{job}/verify", operation: "verifyJob",
                summary:
                    "Recomputes the hash chain of a job from its events, up to its head or for 5 s, and reports the first fault",
                parameters: [
                    .init(
                        name: "after", type: .integer(0...Int64.max),
                        description: "Continue after this event, the last one of the previous check; requires hash"),
                    .init(name: "hash", type: .string, description: "The hash at the end of the previous check"),
                    .init(
                        name: "limit", type: .integer(Self.checkLimits),
                        description: "Check at most this many events; the response shows whether the check is complete"),
                    .init(
                        name: "anchor_sequence", type: .integer(1...Int64.max),
                        description: "An event with a hash that was kept elsewhere; requires anchor_hash"),
                    .init(
                        name: "anchor_hash", type: .string, description: "The kept hash: the event must have this hash"),
                ],
                responses: [
                    Route.ResponseSpec(status: 200, description: "The result of the check", schema: "Verification"),
                    .problem(404, "No such job"), .problem(422, "A parameter is invalid"),
                ], isHeavy: true, isLimited: true, handle: verify),
            Route(
                access: .ledger(.read), method: .get, path: "/v1/heads", operation: "listHeads",
                summary: "The last event of every job with its hash, ordered by job: the content of an anchor",
                parameters: [
                    .init(
                        name: "limit", type: .integer(Self.pageSizes), description: "Heads per page; 100 by default"),
                    .init(name: "cursor", type: .string, description: "The next_cursor of the previous page"),
                ],
                responses: [
                    Route.ResponseSpec(status: 200, description: "A page of heads", schema: "HeadPage"),
                    .problem(422, "A parameter is invalid"),
                ], handle: heads),
        ]
    }

    private func verify(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let range = Verification.Range(
            after: try anchor("after", "hash", from: 0, parameters),
            limit: try parameters.integer("limit", in: Self.checkLimits).map { Int($0) },
            anchor: try anchor("anchor_sequence", "anchor_hash", from: 1, parameters))
        guard let verification = try await verify(job, range) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        return .json { VerificationResponse(job: job, verification).write(to: &$0) }
    }

    /// Checks a range in parts, for half of the time that a request may take.
    ///
    /// The response shows whether the check is complete, and at which event and hash to continue.
    private func verify(_ job: JobID, _ range: Verification.Range) async throws -> Verification? {
        let end = ContinuousClock.now + settings.readDeadline / 2
        var rest = range
        while true {
            rest.limit = min(range.limit ?? .max, Self.checkedAtOnce)
            if let limit = range.limit, let after = rest.after {
                rest.limit = min(Self.checkedAtOnce, limit - (after.sequence - (range.after?.sequence ?? 0)))
            }
            guard let found = try await service.verify(job, rest) else { return nil }
            let isLimitReached = range.limit.map { found.sequence - (range.after?.sequence ?? 0) >= $0 } ?? false
            guard !found.isComplete, !isLimitReached, ContinuousClock.now < end else { return found }
            rest.after = ChainPosition(sequence: found.sequence, hash: found.headHash)
            if let anchor = range.anchor, anchor.sequence <= found.sequence { rest.anchor = nil }
        }
    }

    /// An event and its hash, from two parameters that require each other.
    private func anchor(
        _ sequenceName: String, _ hashName: String, from first: EventSequence, _ parameters: QueryParameters
    ) throws(HTTPProblem) -> ChainPosition? {
        let sequence = try parameters.sequence(sequenceName, from: first)
        guard let text = parameters[hashName] else {
            guard (sequence ?? 0) == 0 else { throw .invalid(parameter: hashName, "is required with \(sequenceName)") }
            return nil
        }
        guard let hash = EventHash(text) else {
            throw .invalid(parameter: hashName, "must be a SHA-256 of 64 hexadecimal digits")
        }
        guard let sequence, sequence > 0 else {
            throw .invalid(parameter: sequenceName, "is required with \(hashName)")
        }
        return ChainPosition(sequence: sequence, hash: hash)
    }

    private func heads(_ request: RouteRequest) async throws -> LedgerResponse {
        let parameters = try request.parameters()
        let limit = Int(try parameters.integer("limit", in: Self.pageSizes) ?? Self.pageSizeDefault)
        let cursor = try parameters.jobCursor()
        let heads = try await service.heads(after: cursor, limit: limit)
        return .json { writer in
            writer.object { writer in
                writer.name("heads")
                writer.array(heads) { $1.write(to: &$0) }
                writer.field("next_cursor", heads.count == limit ? heads.last?.job.description : nil)
            }
        }
    }
}
