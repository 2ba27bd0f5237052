internal import Ledger
internal import Logging
internal import PQ

/// Takes appends and writes them in groups: what has come in while one group was being committed is the next group.
/// So there is no timer; groups grow with the load and shrink without it.
///
/// Appends of one job always take the same lane, so that servers wait for each other on its head and lanes do not.
///
/// It lives on the reactor's thread, as its connections do: an append changes threads twice, not at every step.
actor Appender {
    /// What waits, at most: beyond it callers are refused and nothing is taken. The memory is what matters; the
    /// figures hold some seconds of full load.
    static let pendingEventsMax = 200_000
    static let pendingBytesMax = 64 << 20
    /// Events written in one transaction, at most, except that one append is never divided.
    static let groupEventsMax = 10_000
    /// How often a group is tried that the database could not take, and over what time.
    private static let attemptsMax = 4
    private static let retryPause: Duration = .milliseconds(100)

    private struct Pending {
        let request: AppendRequest
        let continuation: CheckedContinuation<AppendResult, Never>
    }

    private struct Lane {
        var queue: [Pending] = []
        var isFlushing = false
    }

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }
    private nonisolated let reactor: Reactor
    private let flusher: Flusher
    private let logger: Logger
    private let onAppended: @Sendable ([JobID]) -> Void
    private var lanes: [Lane]
    private var pendingEvents = 0
    private var pendingBytes = 0
    private var isClosed = false
    private var closing: [CheckedContinuation<Void, Never>] = []
    private(set) var figures = Figures()

    /// What has been done since the start.
    struct Figures: Sendable {
        var events: UInt64 = 0
        var groups: UInt64 = 0
        var refused: UInt64 = 0
        var failed: UInt64 = 0
        var pendingEvents = 0
    }

    init(
        pool: Pool, laneCount: Int, logger: Logger, onAppended: @escaping @Sendable ([JobID]) -> Void
    ) {
        reactor = pool.reactor
        flusher = Flusher(pool: pool)
        lanes = Array(repeating: Lane(), count: laneCount)
        self.logger = logger
        self.onAppended = onAppended
    }

    /// Appends, and returns once it is durably committed or has failed.
    func append(_ request: AppendRequest) async -> AppendResult {
        guard !isClosed else { return .failure(StoreError(.closed, "the server is stopping; nothing was taken")) }
        guard let first = request.parts.first else { return .success([]) }
        guard pendingEvents + request.eventCount <= Self.pendingEventsMax || pendingEvents == 0,
            pendingBytes + request.byteCount <= Self.pendingBytesMax || pendingEvents == 0
        else {
            figures.refused += 1
            return .failure(
                StoreError(
                    .overloaded, "\(pendingEvents) events wait to be written already; nothing was taken",
                    retryAfter: .seconds(1)))
        }
        pendingEvents += request.eventCount
        pendingBytes += request.byteCount
        let lane = Int(first.job.low % UInt64(lanes.count))
        return await withCheckedContinuation { continuation in
            lanes[lane].queue.append(Pending(request: request, continuation: continuation))
            if !lanes[lane].isFlushing {
                lanes[lane].isFlushing = true
                Task(name: "appender-lane-\(lane)") { await run(lane) }
            }
        }
    }

    /// Takes no more, and returns when what was taken is written or has failed.
    func close() async {
        isClosed = true
        guard lanes.contains(where: \.isFlushing) else { return }
        await withCheckedContinuation { closing.append($0) }
    }

    var currentFigures: Figures {
        var figures = figures
        figures.pendingEvents = pendingEvents
        return figures
    }

    private func run(_ lane: Int) async {
        while !lanes[lane].queue.isEmpty {
            let group = takeGroup(lane)
            let results = await write(group.map(\.request))
            for (pending, result) in zip(group, results) {
                pendingEvents -= pending.request.eventCount
                pendingBytes -= pending.request.byteCount
                pending.continuation.resume(returning: result)
            }
        }
        lanes[lane].isFlushing = false
        guard isClosed, !lanes.contains(where: \.isFlushing) else { return }
        for waiter in closing { waiter.resume() }
        closing = []
    }

    private func takeGroup(_ lane: Int) -> [Pending] {
        var events = 0
        var count = 0
        for pending in lanes[lane].queue {
            events += pending.request.eventCount
            guard count == 0 || events <= Self.groupEventsMax else { break }
            count += 1
        }
        let group = Array(lanes[lane].queue.prefix(count))
        lanes[lane].queue.removeFirst(count)
        return group
    }

    private func write(_ requests: [AppendRequest]) async -> [AppendResult] {
        var failure = PQError(.connectionFailed, "not tried")
        for attempt in 1...Self.attemptsMax {
            do throws(FlushFailure) {
                return noteSuccess(try await flusher.flush(requests))
            } catch {
                failure = error.error
                if let plan = error.plan {
                    switch await settle(plan) {
                    case true: return noteSuccess(plan)
                    case false: break
                    default: return noteFailure(failure, requests)
                    }
                } else if !failure.isRetrySafe {
                    return noteFailure(failure, requests)
                }
                logger.warning(
                    "a group of appends is tried again",
                    metadata: ["append.attempt": "\(attempt)", "error": "\(failure)"])
                if attempt < Self.attemptsMax { await pause(Self.retryPause * attempt) }
            }
        }
        let known = PQError(failure.code, failure.message, sqlState: failure.sqlState, server: failure.server)
        return noteFailure(known, requests)
    }

    /// Whether a group whose commit was cut off took place; nil where the database does not say in time.
    private func settle(_ plan: FlushPlan) async -> Bool? {
        for attempt in 1...Self.attemptsMax {
            do throws(PQError) {
                return try await flusher.tookPlace(plan)
            } catch {
                logger.warning("cannot tell yet whether a commit took place", metadata: ["error": "\(error)"])
                if attempt < Self.attemptsMax { await pause(Self.retryPause * (attempt * 5)) }
            }
        }
        return nil
    }

    private func pause(_ duration: Duration) async {
        // The lane's task is never cancelled: what was taken is written or answered.
        do { try await Task.sleep(for: duration) } catch { return }
    }

    private func noteSuccess(_ plan: FlushPlan) -> [AppendResult] {
        figures.groups += 1
        figures.events += UInt64(plan.columns.count)
        onAppended(plan.newHeads.map(\.job))
        return plan.results
    }

    private func noteFailure(_ error: PQError, _ requests: [AppendRequest]) -> [AppendResult] {
        figures.failed += UInt64(requests.count)
        let storeError = StoreError(error, while: "appending events")
        return requests.map { _ in .failure(storeError) }
    }
}
