internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import NIOCore
internal import ServiceLifecycle

/// Responds with the snapshot of a job, or with 304 if the client has it already.
struct SnapshotEndpoint: Sendable {
    private let service: any LedgerService
    private let cache: ResponseCache

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        cache = dependencies.cache
    }

    /// The longest wait for an event before stalls are looked for.
    private static let readAgainAfter: Duration = .seconds(2)

    /// A response with the sequence of its snapshot.
    private struct Found: Sendable {
        let response: LedgerResponse
        let sequence: EventSequence
    }

    // MARK: The two drivers

    /// The variant without a task, for requests that match ``FastPathMatcher``.
    var fastPath: FastPath {
        FastPath { request, loop, whenDone in
            find(request.job, ifNoneMatch: request.ifNoneMatch, on: loop) { result in
                switch result {
                case .success(let found?): whenDone(.success(found.response))
                case .success(nil): whenDone(.failure(HTTPProblem.noSuchJob(request.job.description)))
                case .failure(let error):
                    HTTPProblem.resolve(error, for: request.access, service, on: loop) { whenDone(.failure($0)) }
                }
            }
        }
    }

    /// Responds for any counting policy.
    ///
    /// It waits for a change if the client prefers that and has the present snapshot.
    ///
    /// - Parameter sequence: The sequence that the snapshot is known to have reached.
    func respond(
        to request: RouteRequest, policy: CountingPolicy, atLeast sequence: EventSequence = .start
    ) async throws -> LedgerResponse {
        let job = try request.job()
        let tags = request.request.headers[values: .ifNoneMatch]
        var found = try await find(job, ifNoneMatch: tags, policy, atLeast: sequence)
        guard request.wait > 0, found.response.status == .notModified else { return found.response }
        let end = ContinuousClock.now + .seconds(request.wait)
        while found.response.status == .notModified, !Task.isShuttingDownGracefully {
            let rest = ContinuousClock.now.duration(to: end)
            guard rest > .zero else { break }
            try await waitForChange(of: job, after: found.sequence, atMost: min(rest, Self.readAgainAfter))
            // Read again in any case: a ledger that was restored from a backup has another snapshot of a lower
            // sequence, and a stall begins without any event.
            found = try await find(job, ifNoneMatch: tags, policy, atLeast: .start)
        }
        var response = found.response
        response.headers[.preferenceApplied] = "wait=\(request.wait)"
        return response
    }

    // MARK: Finding the response

    private func find(
        _ job: JobID, ifNoneMatch tags: [String], _ policy: CountingPolicy, atLeast sequence: EventSequence
    ) async throws -> Found {
        let found: Found? =
            switch policy {
            case .last:
                try await withCheckedContinuation { continuation in
                    find(job, ifNoneMatch: tags, atLeast: sequence, on: EventLoopExecutor.group.any()) {
                        continuation.resume(returning: $0)
                    }
                }.get()
            case .all:
                try await service.job(job, counting: .all).map { Self.found($0, policy, ifNoneMatch: tags) }
            case .lastSuccessful: try await findLastSuccessful(job, ifNoneMatch: tags)
            }
        guard let found else { throw HTTPProblem.noSuchJob(job.description) }
        return found
    }

    /// Finds the response that counts the last executions.
    ///
    /// The cache provides it if the cached one is current.
    ///
    /// - Parameters:
    ///   - sequence: The sequence that the snapshot is known to have reached.
    ///   - whenDone: Called once, on the loop; gets nil if there is no such job.
    private func find(
        _ job: JobID, ifNoneMatch tags: [String], atLeast sequence: EventSequence = .start, on loop: any EventLoop,
        whenDone: @escaping @Sendable (Result<Found?, StoreError>) -> Void
    ) {
        // Revalidation costs a query, which is wasted if the snapshot has to be read in any case: a stall may have
        // begun since the client read it, without any event.
        guard cache.contains(job, atLeast: sequence) else {
            return read(job, ifNoneMatch: tags, on: loop, whenDone: whenDone)
        }
        service.stamp(of: job) { result in
            loop.execute {
                switch result {
                case .failure(let error): whenDone(.failure(error))
                case .success(nil): whenDone(.success(nil))
                case .success(let stamp?):
                    guard let (tag, body) = cache.response(job, stamp) else {
                        return read(job, ifNoneMatch: tags, on: loop, whenDone: whenDone)
                    }
                    let response = tag.matches(tags) ? tag.unchanged() : tag.response(body)
                    whenDone(.success(Found(response: response, sequence: stamp.sequence)))
                }
            }
        }
    }

    private func read(
        _ job: JobID, ifNoneMatch tags: [String], on loop: any EventLoop,
        whenDone: @escaping @Sendable (Result<Found?, StoreError>) -> Void
    ) {
        service.stampedJob(job) { result in
            loop.execute {
                whenDone(
                    result.map { stamped in
                        guard let stamped else { return nil }
                        // The body is encoded even if this client needs none, because the next one may.
                        let whole = Self.found(stamped.view, .last, ifNoneMatch: [])
                        cache.insert(
                            whole.response, of: job, stamped.stamp,
                            isRunning: stamped.view.snapshot.state == .running)
                        return Self.found(stamped.view, .last, ifNoneMatch: tags, orElse: whole)
                    })
            }
        }
    }

    /// Finds the response that counts the last successful executions.
    ///
    /// The projection does not contain these sums, so the events are folded unless the client has the snapshot already.
    private func findLastSuccessful(_ job: JobID, ifNoneMatch tags: [String]) async throws -> Found? {
        guard var present = try await service.job(job) else { return nil }
        // Stalls are those of the default policy.
        present.stalls = nil
        let tag = SnapshotTag(present, .lastSuccessful)
        if tag.matches(tags) { return Found(response: tag.unchanged(), sequence: present.snapshot.sequence) }
        let service = service
        let folded = try await withTaskExecutorPreference(ComputeExecutor.shared) {
            try await service.job(job, counting: .lastSuccessful)
        }
        return folded.map { Self.found($0, .lastSuccessful, ifNoneMatch: tags) }
    }

    private static func found(
        _ view: JobView, _ policy: CountingPolicy, ifNoneMatch tags: [String], orElse whole: Found? = nil
    ) -> Found {
        let tag = SnapshotTag(view, policy)
        if tag.matches(tags) { return Found(response: tag.unchanged(), sequence: view.snapshot.sequence) }
        return whole
            ?? Found(
                response: .json(headers: [.eTag: tag.text]) { view.write(to: &$0, now: .now) },
                sequence: view.snapshot.sequence)
    }

    /// Waits for a change, or until the server begins to stop.
    ///
    /// A server stops only after all requests have responses.
    private func waitForChange(of job: JobID, after sequence: EventSequence, atMost duration: Duration) async throws {
        let service = service
        do {
            _ = try await cancelWhenGracefulShutdown {
                try await service.waitForChange(job, after: sequence, deadline: duration)
            }
        } catch {
            // The wait was cancelled during a query.
            guard Task.isShuttingDownGracefully else { throw error }
        }
    }
}
