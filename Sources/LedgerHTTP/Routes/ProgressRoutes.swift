internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire

/// The snapshot of a job.
struct ProgressRoutes: Sendable {
    private let service: any LedgerService
    private let settings: ServerSettings

    init(_ surroundings: RouteTable.Surroundings) {
        service = surroundings.service
        settings = surroundings.settings
    }

    var routes: [Route] {
        [
            Route(
                method: .get, path: "/v1/jobs/{job}/progress", operation: "getProgress",
                summary: "The snapshot of a job",
                parameters: [
                    .init(
                        name: "min_sequence", type: .integer(0...Int64.max),
                        description: "Wait, 5 s at most, until the snapshot has reached this sequence"),
                    .init(
                        name: "policy", type: .choice(["last", "all"]),
                        description: "Which executions count: the last of each task (last), or every one (all)"),
                ],
                outcomes: [
                    Route.Outcome(status: 200, description: "The snapshot", schema: "Job"),
                    Route.Outcome(
                        status: 304,
                        description:
                            "Unchanged since the ETag that If-None-Match names; with Prefer: wait=SECONDS for so long"),
                    .problem(404, "No such job"), .problem(422, "A parameter is invalid"),
                    .problem(504, "The snapshot did not reach min_sequence in time"),
                ], handle: get)
        ]
    }

    /// The policies that are kept up to date.
    private enum Policy: String, CaseIterable {
        case last
        case all
    }

    private func get(_ call: Call) async throws -> Answer {
        let job = try call.job()
        let parameters = try call.parameters()
        let policy = try parameters.choice("policy", Policy.self) ?? .last
        if let sequence = try parameters.integer("min_sequence", in: 0...Int64.max) {
            guard let view = try await service.job(job) else { throw HTTPProblem.noSuchJob(job.description) }
            guard sequence <= view.ledgerSequence else {
                throw HTTPProblem.invalid(
                    parameter: "min_sequence", "is beyond the job's last event, \(view.ledgerSequence)")
            }
            guard try await service.waitUntilFolded(job, sequence: sequence, deadline: settings.foldDeadline) else {
                throw HTTPProblem(
                    .gatewayTimeout, "Not yet",
                    "The snapshot did not reach sequence \(sequence) within \(settings.foldDeadline); see /readyz.")
            }
        }
        return try await SnapshotAnswer(service: service).answer(
            call, policy: policy == .all ? .all : .last, waitMax: settings.preferWaitMax)
    }
}

/// Answers a snapshot, or that it is unchanged.
struct SnapshotAnswer: Sendable {
    let service: any LedgerService

    func answer(_ call: Call, policy: CountingPolicy, waitMax: Int) async throws -> Answer {
        let job = try call.job()
        guard var view = try await service.job(job) else { throw HTTPProblem.noSuchJob(job.description) }
        let known = Self.tags(call.request.headers[values: .ifNoneMatch])
        var applied: HTTPFields = [:]
        if known.contains(Self.tag(view, policy)), let seconds = Self.preferredWait(call.request.headers), waitMax > 0 {
            let wait = min(seconds, waitMax)
            applied[.preferenceApplied] = "wait=\(wait)"
            if try await service.waitForChange(job, after: view.snapshot.sequence, deadline: .seconds(wait)),
                let changed = try await service.job(job)
            {
                view = changed
            }
        }
        let tag = Self.tag(view, policy)
        applied[.eTag] = tag
        if known.contains(tag) || known.contains("*") { return Answer(status: .notModified, headers: applied) }
        var answer = JobAnswer(view)
        if policy == .all {
            for index in answer.snapshot.indicators.indices {
                answer.snapshot.indicators[index].counted = answer.snapshot.indicators[index].attempted
            }
        }
        return .json(headers: applied) { answer.write(to: &$0) }
    }

    /// Opaque to its reader: it changes whenever the snapshot does, which is with every event that is folded.
    private static func tag(_ view: JobView, _ policy: CountingPolicy) -> String {
        "W/\"\(policy.rawValue)-\(view.snapshot.sequence)\""
    }

    private static func tags(_ fields: [String]) -> Set<String> {
        Set(fields.flatMap { $0.split(separator: ",") }.map { $0.filter { $0 != " " } })
    }

    /// `Prefer: wait=SECONDS` (RFC 7240).
    private static func preferredWait(_ headers: HTTPFields) -> Int? {
        for preference in headers[values: .prefer].flatMap({ $0.split(separator: ",") }) {
            let parts = preference.split(separator: "=").map { $0.filter { $0 != " " } }
            if parts.count == 2, parts[0].lowercased() == "wait", let seconds = Int(parts[1]), seconds > 0 {
                return seconds
            }
        }
        return nil
    }
}

extension HTTPField.Name {
    /// RFC 7240. The names are valid: this one and the next are written down here.
    static let prefer = HTTPField.Name("Prefer") ?? .accept
    static let preferenceApplied = HTTPField.Name("Preference-Applied") ?? .accept
}
