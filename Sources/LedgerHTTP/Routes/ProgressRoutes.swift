internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import ServiceLifecycle

/// The snapshot of a job.
struct ProgressRoutes: Sendable {
    private let service: any LedgerService
    private let cache: ResponseCache
    private let settings: ServerSettings

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        cache = dependencies.cache
        settings = dependencies.settings
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
                    .policy,
                ] + Route.Parameter.moments,
                outcomes: [
                    Route.ResponseSpec(status: 200, description: "The snapshot", schema: "Job"),
                    .unchanged, .problem(404, "No such job"),
                    .problem(410, "Events that the answer needs were retired"),
                    .problem(422, "A parameter is invalid"), .problem(503, "Too many histories are being folded"),
                    .problem(504, "The snapshot did not reach min_sequence in time"),
                ], prefersWait: true, handle: get)
        ]
    }

    private func get(_ request: RouteRequest) async throws -> LedgerResponse {
        let job = try request.job()
        let parameters = try request.parameters()
        let policy = try parameters.choice("policy", CountingPolicy.self) ?? .last
        if let moment = try await moment(parameters, job) {
            return try await historic(request, moment, policy)
        }
        if let sequence = try parameters.integer("min_sequence", in: 0...Int64.max) {
            guard try await service.job(job) != nil else { throw HTTPProblem.noSuchJob(job.description) }
            // Event N may not exist yet: a replica may lag, or its writer is about to write it.
            guard try await service.waitUntilFolded(job, sequence: sequence, deadline: settings.foldDeadline) else {
                throw HTTPProblem(
                    .gatewayTimeout, "Not yet",
                    "The snapshot did not reach sequence \(sequence) within \(settings.foldDeadline); see /readyz.")
            }
        }
        return try await SnapshotAnswer(service: service, cache: cache).answer(request, policy: policy)
    }

    /// The moment in the past that is asked for; nil for the present.
    private func moment(_ parameters: QueryParameters, _ job: JobID) async throws -> PointInTime? {
        for (name, other) in [("at", "at_sequence"), ("min_sequence", "at"), ("min_sequence", "at_sequence")]
        where parameters[name] != nil && parameters[other] != nil {
            throw HTTPProblem.invalid(parameter: name, "cannot be given together with \(other)")
        }
        return try await PointInTimeQuery(service: service, job: job).moment(parameters)
    }

    private func historic(_ request: RouteRequest, _ moment: PointInTime, _ policy: CountingPolicy) async throws
        -> LedgerResponse
    {
        let job = try request.job()
        let service = service
        // Folding computes, and must not keep other connections waiting.
        let view = try await withTaskExecutorPreference(ComputeExecutor.shared) {
            try await service.job(job, at: moment, counting: policy)
        }
        guard let view else { throw HTTPProblem.noSuchJob(job.description) }
        return .json { JobAnswer(view).write(to: &$0) }
    }
}

/// Answers a snapshot, or that it is unchanged.
struct SnapshotAnswer: Sendable {
    let service: any LedgerService
    let cache: ResponseCache

    func answer(_ request: RouteRequest, policy: CountingPolicy) async throws -> LedgerResponse {
        let job = try request.job()
        guard var (view, stamp) = try await read(job, policy) else { throw HTTPProblem.noSuchJob(job.description) }
        let known = request.request.headers[values: .ifNoneMatch]
        var applied: HTTPFields = [:]
        if request.wait > 0, SnapshotTag(view, policy).isAmong(known) {
            applied[.preferenceApplied] = "wait=\(request.wait)"
            try await waitForChange(of: job, after: view.snapshot.sequence, atMost: .seconds(request.wait))
            // Read again in any case: a ledger that was set back shows another snapshot of a lower sequence.
            guard let now = try await read(job, policy) else { throw HTTPProblem.noSuchJob(job.description) }
            (view, stamp) = now
        }
        let tag = SnapshotTag(view, policy)
        if tag.isAmong(known) { return tag.unchanged(applied) }
        if policy == .lastSuccessful {
            guard let folded = try await fold(job) else { throw HTTPProblem.noSuchJob(job.description) }
            view = folded
        }
        let answer = Self.answer(view, policy, applied)
        if let stamp, applied[.preferenceApplied] == nil { cache.insert(answer, of: job, stamp) }
        return answer
    }

    /// Waits for a change, and no longer once the server stops: it stops only after all requests are answered.
    private func waitForChange(of job: JobID, after sequence: Int64, atMost duration: Duration) async throws {
        let service = service
        do {
            _ = try await cancelWhenGracefulShutdown {
                try await service.waitForChange(job, after: sequence, deadline: duration)
            }
        } catch {
            // The wait was cancelled while it asked the database.
            guard Task.isShuttingDownGracefully else { throw error }
        }
    }

    /// The snapshot itself, by this policy.
    static func answer(_ view: JobView, _ policy: CountingPolicy, _ headers: HTTPFields = [:]) -> LedgerResponse {
        var headers = headers
        headers[.eTag] = SnapshotTag(view, policy).text
        return .json(headers: headers) { JobAnswer(view).write(to: &$0) }
    }

    /// What answers are like, as far as they are alike: to a job with two indicators.
    static var specimen: LedgerResponse {
        let moment = Timestamp(microseconds: 1_800_000_000_000_000)
        let indicators = ["a", "b"].map { (label: Name) in
            Snapshot.Indicator(
                label: label, counted: Units(total: 1_000, done: 100), attempted: Units(total: 1_000, done: 100),
                updatedAt: moment)
        }
        let snapshot = Snapshot(
            sequence: 1, state: .running, createdAt: moment, startedAt: moment, updatedAt: moment, finishedAt: nil,
            tasks: TaskCounts(), indicators: indicators)
        let view = JobView(
            id: JobID(high: 0, low: 0), description: JobDescription(name: "job"), createdAt: moment, ledgerSequence: 1,
            snapshot: snapshot, projection: 1)
        return answer(view, .last)
    }

    /// The head of ``answer(_:_:_:)`` for a snapshot of this tag and a body of so many bytes.
    static func head(_ tag: SnapshotTag, length: Int) -> HTTPResponse {
        var head = plainHead
        head.headerFields[.eTag] = tag.text
        head.headerFields[.contentLength] = "\(length)"
        return head
    }

    private static let plainHead = LedgerResponse.json { _ in }.response.head

    /// What is kept up to date of a snapshot by this policy. By which executions succeeded last it is not, and is folded
    /// only when it has to be shown: until then, what tells whether it has changed is enough.
    ///
    /// - Returns: With the stamp where the answer is the one that is worth remembering.
    private func read(_ job: JobID, _ policy: CountingPolicy) async throws -> (JobView, SnapshotStamp?)? {
        switch policy {
        case .last: try await service.stampedJob(job).map { ($0.view, $0.stamp) }
        case .lastSuccessful: try await service.job(job).map { ($0, nil) }
        case .all: try await service.job(job, counting: .all).map { ($0, nil) }
        }
    }

    private func fold(_ job: JobID) async throws -> JobView? {
        let service = service
        return try await withTaskExecutorPreference(ComputeExecutor.shared) {
            try await service.job(job, counting: .lastSuccessful)
        }
    }
}

extension HTTPFields {
    /// The seconds that `Prefer: wait=SECONDS` (RFC 7240) asks for; 0 where it does not.
    var preferredWait: Int {
        for preference in self[values: .prefer].flatMap({ $0.split(separator: ",") }) {
            let parts = preference.split(separator: "=").map { $0.filter { $0 != " " } }
            if parts.count == 2, parts[0].lowercased() == "wait", let seconds = Int(parts[1]), seconds > 0 {
                return seconds
            }
        }
        return 0
    }
}

extension HTTPField.Name {
    /// A name that is written down in this file.
    static func known(_ name: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(name) else { preconditionFailure("\(name) is no name of a header field") }
        return name
    }

    /// RFC 7240.
    static let prefer = known("Prefer")
    static let preferenceApplied = known("Preference-Applied")
}
