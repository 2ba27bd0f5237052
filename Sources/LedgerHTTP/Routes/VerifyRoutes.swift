internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// Proving that a job's ledger is as it was recorded.
struct VerifyRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        settings = dependencies.settings
    }

    /// Events that are checked before the time is looked at.
    private static let checkedAtOnce: Int64 = 50_000
    private static let stretches: ClosedRange<Int64> = 1...10_000_000
    private static let pageSizes: ClosedRange<Int64> = 1...1_000
    private static let pageSizeDefault: Int64 = 100

    var routes: [Route] {
        [
            Route(
                method: .get, path: "/v1/jobs/{job}/verify", operation: "verifyJob",
                summary:
                    "Recomputes the hash chain of a job from its events, up to its head or for 5 s, and says what is wrong first",
                parameters: [
                    .init(
                        name: "after", type: .integer(0...Int64.max),
                        description: "Begin after this event, up to which it was checked before; give its hash too"),
                    .init(name: "hash", type: .string, description: "The hash that the check before ended with"),
                    .init(
                        name: "limit", type: .integer(Self.stretches),
                        description: "Check so many events at most; the answer says whether that was all"),
                    .init(
                        name: "anchor_sequence", type: .integer(1...Int64.max),
                        description: "An event whose hash was kept elsewhere"),
                    .init(name: "anchor_hash", type: .string, description: "That hash: it must be the one found"),
                ],
                outcomes: [
                    Route.ResponseSpec(status: 200, description: "What was found", schema: "Verification"),
                    .problem(404, "No such job"), .problem(422, "A parameter is invalid"),
                ], isHeavy: true, handle: verify),
            Route(
                method: .get, path: "/v1/heads", operation: "listHeads",
                summary: "The last event of every job with its hash, by job: what an anchor is made of",
                parameters: [
                    .init(
                        name: "limit", type: .integer(Self.pageSizes), description: "Heads in a page; 100 unless told"),
                    .init(name: "cursor", type: .string, description: "The next_cursor of the page before"),
                ],
                outcomes: [
                    Route.ResponseSpec(status: 200, description: "A page of heads", schema: "HeadPage"),
                    .problem(422, "A parameter is invalid"),
                ], handle: heads),
        ]
    }

    private func verify(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let stretch = Verification.Range(
            after: try anchor("after", "hash", from: 0, parameters),
            limit: try parameters.integer("limit", in: Self.stretches),
            anchor: try anchor("anchor_sequence", "anchor_hash", from: 1, parameters))
        guard let verification = try await verify(job, stretch) else {
            throw HTTPProblem.noSuchJob(job.description)
        }
        return .json { VerificationResponse(job: job, verification).write(to: &$0) }
    }

    /// Checks a stretch piece by piece, for half of the time that a request may take. The response says whether that was all,
    /// and with what to go on.
    private func verify(_ job: JobID, _ stretch: Verification.Range) async throws -> Verification? {
        let end = ContinuousClock.now + settings.readDeadline / 2
        var rest = stretch
        while true {
            rest.limit = min(stretch.limit ?? .max, Self.checkedAtOnce)
            if let limit = stretch.limit, let after = rest.after {
                rest.limit = min(Self.checkedAtOnce, limit - (after.sequence - (stretch.after?.sequence ?? 0)))
            }
            guard let found = try await service.verify(job, rest) else { return nil }
            let isLimitReached = stretch.limit.map { found.sequence - (stretch.after?.sequence ?? 0) >= $0 } ?? false
            guard !found.isComplete, !isLimitReached, ContinuousClock.now < end else { return found }
            rest.after = ChainPosition(sequence: found.sequence, hash: found.headHash)
            if let anchor = stretch.anchor, anchor.sequence <= found.sequence { rest.anchor = nil }
        }
    }

    /// An event and its hash, which are given together or not at all.
    private func anchor(
        _ sequenceName: String, _ hashName: String, from first: Int64, _ parameters: QueryParameters
    ) throws(HTTPProblem) -> ChainPosition? {
        let sequence = try parameters.integer(sequenceName, in: first...Int64.max)
        guard let text = parameters[hashName] else {
            guard (sequence ?? 0) == 0 else { throw .invalid(parameter: hashName, "belongs to \(sequenceName)") }
            return nil
        }
        guard let hash = Hexadecimal.bytes(text), hash.count == 32 else {
            throw .invalid(parameter: hashName, "must be the 64 hexadecimal digits of a SHA-256")
        }
        guard let sequence, sequence > 0 else { throw .invalid(parameter: sequenceName, "belongs to \(hashName)") }
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
