internal import HTTPTypes
internal import HummingbirdCore
internal import Ledger
internal import LedgerStore
internal import LedgerWire
internal import Logging
internal import NIOCore
internal import ServiceLifecycle

/// Responds with the snapshot of a job, or with 304 if the client has it.
struct SnapshotEndpoint: Sendable {
    private let service: any LedgerService
    private let cache: ResponseCache
    private let logger: Logger

    init(_ dependencies: RouteTable.Dependencies) {
        service = dependencies.service
        cache = dependencies.cache
        logger = dependencies.logger
    }

    /// A response with the sequence of its snapshot.
    private struct Found: Sendable {
        let response: LedgerResponse
        let sequence: Int64
    }

    // MARK: The two drivers

    /// The form that needs no task, for requests without anything special about them.
    var fastPath: FastPath {
        FastPath { request, loop, whenDone in
            find(request.job, ifNoneMatch: request.ifNoneMatch, on: loop) { result in
                switch result {
                case .success(let found?): whenDone(found.response)
                case .success(nil): whenDone(HTTPProblem.noSuchJob(request.job.description).response)
                case .failure(let error): whenDone(HTTPProblem.response(error, isRead: true, logger))
                }
            }
        }
    }

    /// Responds by any policy, and waits for a change if the client prefers that and has the present snapshot.
    func respond(to request: RouteRequest, policy: CountingPolicy) async throws -> LedgerResponse {
        let job = try request.job()
        let known = request.request.headers[values: .ifNoneMatch]
        var found = try await find(job, ifNoneMatch: known, policy)
        guard request.wait > 0, found.response.status == .notModified else { return found.response }
        try await waitForChange(of: job, after: found.sequence, atMost: .seconds(request.wait))
        // Read again in any case: a ledger that was set back shows another snapshot of a lower sequence.
        found = try await find(job, ifNoneMatch: known, policy)
        var response = found.response
        response.headers[.preferenceApplied] = "wait=\(request.wait)"
        return response
    }

    // MARK: Finding the response

    private func find(
        _ job: JobID, ifNoneMatch known: [String], _ policy: CountingPolicy
    ) async throws -> Found {
        let found: Found? =
            switch policy {
            case .last:
                try await withCheckedContinuation { continuation in
                    find(job, ifNoneMatch: known, on: EventLoopExecutor.group.any()) {
                        continuation.resume(returning: $0)
                    }
                }.get()
            case .all:
                try await service.job(job, counting: .all).map { Self.found($0, policy, ifNoneMatch: known) }
            case .lastSuccessful: try await findLastSuccessful(job, ifNoneMatch: known)
            }
        guard let found else { throw HTTPProblem.noSuchJob(job.description) }
        return found
    }

    /// Finds the response that counts the last executions, from the cache if it is current.
    ///
    /// - Parameter whenDone: Called once, on the loop; gets nil if there is no such job.
    private func find(
        _ job: JobID, ifNoneMatch known: [String], on loop: any EventLoop,
        whenDone: @escaping @Sendable (Result<Found?, StoreError>) -> Void
    ) {
        // Revalidation is a query: it pays only if its result can save reading the snapshot.
        guard !known.isEmpty || cache.contains(job) else {
            return read(job, ifNoneMatch: known, on: loop, whenDone: whenDone)
        }
        service.stamp(of: job) { result in
            loop.execute {
                switch result {
                case .failure(let error): whenDone(.failure(error))
                case .success(nil): whenDone(.success(nil))
                case .success(let stamp?):
                    let tag = SnapshotTag(stamp)
                    if tag.matches(known) {
                        whenDone(.success(Found(response: tag.unchanged(), sequence: stamp.sequence)))
                    } else if let body = cache.body(job, stamp) {
                        whenDone(.success(Found(response: tag.response(body), sequence: stamp.sequence)))
                    } else {
                        read(job, ifNoneMatch: known, on: loop, whenDone: whenDone)
                    }
                }
            }
        }
    }

    private func read(
        _ job: JobID, ifNoneMatch known: [String], on loop: any EventLoop,
        whenDone: @escaping @Sendable (Result<Found?, StoreError>) -> Void
    ) {
        service.stampedJob(job) { result in
            loop.execute {
                whenDone(
                    result.map { stamped in
                        guard let stamped else { return nil }
                        let found = Self.found(stamped.view, .last, ifNoneMatch: known)
                        if found.response.status == .ok { cache.insert(found.response, of: job, stamped.stamp) }
                        return found
                    })
            }
        }
    }

    /// Finds the response that counts the last successful executions.
    ///
    /// The projection does not have these sums, so they are folded; but not for a client that has the snapshot already.
    private func findLastSuccessful(_ job: JobID, ifNoneMatch known: [String]) async throws -> Found? {
        guard let present = try await service.job(job) else { return nil }
        let tag = SnapshotTag(present, .lastSuccessful)
        if tag.matches(known) { return Found(response: tag.unchanged(), sequence: present.snapshot.sequence) }
        let service = service
        let folded = try await withTaskExecutorPreference(ComputeExecutor.shared) {
            try await service.job(job, counting: .lastSuccessful)
        }
        return folded.map { Self.found($0, .lastSuccessful, ifNoneMatch: known) }
    }

    private static func found(_ view: JobView, _ policy: CountingPolicy, ifNoneMatch known: [String]) -> Found {
        let tag = SnapshotTag(view, policy)
        return Found(
            response: tag.matches(known)
                ? tag.unchanged() : .json(headers: [.eTag: tag.text]) { JobResponse(view).write(to: &$0) },
            sequence: view.snapshot.sequence)
    }

    /// Waits for a change, but not while the server stops: it stops only after all requests have responses.
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
}
