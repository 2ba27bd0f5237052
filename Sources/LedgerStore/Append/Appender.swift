internal import Ledger
internal import Logging
internal import PQ
internal import Synchronization

/// Takes appends and writes them in groups: what has come in while one group was being committed is the next group.
/// So there is no timer; groups grow with the load and shrink without it.
///
/// While appends of a job wait, further ones take the same queue, so that servers may wait for each other on its head and
/// queues do not. As long as one queue is enough there is only one, for the larger a group the less each event costs.
///
/// Its queues run on the reactor's thread, as the connections do: an append changes threads twice, not at every step.
final class Appender: Sendable {
    /// What waits, at most: beyond it callers are refused and nothing is taken. The memory is what matters; the
    /// figures hold some seconds of full load.
    static let pendingEventsMax = 200_000
    static let pendingBytesMax = 64 << 20
    /// Events written in one transaction, at most, except that one append is never divided.
    static let batchEventsMax = 10_000
    /// From this many waiting events on a queue is so busy that jobs take another: so many as are written in one statement,
    /// whose price they share. With 16 each event of 64 connections costs PostgreSQL a third more.
    static let fullQueueEvents = BatchWriter.fewEvents
    /// A queue that has been writing a group for so long is busy in any case: it may be waiting for another server's lock.
    static let stallTimeout: Duration = .milliseconds(50)
    /// While a queue writes a large group, heads of unknown jobs for it are looked up about so often.
    static let lookupsPerBatch = 4
    /// How often a group is tried that the database could not take, and the first pause, which triples each time: 0.8 s
    /// in all.
    private static let attemptsMax = 5
    /// How often a single append is tried whose head somebody else has locked, 3 s each: others wait behind it.
    private static let blockedAttemptsMax = 3
    private static let retryPause: Duration = .milliseconds(20)
    /// How long an append waits to be written; beyond it the caller learns that nothing was taken.
    static let waitingMax: Duration = .seconds(20)
    /// How long a caller waits in all; beyond it the outcome is unknown, and the group goes on.
    static let answerMax: Duration = .seconds(30)
    /// How long a queue tries to write one group or to find out what became of it.
    private static let groupMax: Duration = .seconds(25)
    /// How often appends that have waited for too long are looked for.
    private static let lookInterval: Duration = .seconds(1)

    private let reactor: Reactor
    private let writer: BatchWriter
    private let logger: Logger
    private let onAppended: @Sendable ([JobID]) -> Void
    private let queues: Mutex<AppendQueues>
    private let heads = Mutex(HeadCache())
    private let figures = Mutex(Figures())
    /// What was acknowledged, to be compared with the ledger.
    let acknowledged = AcknowledgedHeads()
    /// Called with jobs that are no longer as far as what was acknowledged of them.
    private let onHeadsLost: @Sendable ([JobID]) -> Void
    private let isWatching = Atomic(false)
    /// The last group that failed; nil if one has succeeded since.
    private let failure = Mutex<(failure: LedgerStatus.Failure, at: ContinuousClock.Instant)?>(nil)
    /// For so long a failure is told. A server that is sent nothing because of it could not find out otherwise that
    /// appends succeed again.
    private static let failureAgeMax: Duration = .seconds(30)

    /// What has been done since the start.
    struct Figures: Sendable {
        var events: UInt64 = 0
        var groups: UInt64 = 0
        /// Groups that another server was ahead of, so that they took three round trips instead of one.
        var overtaken: UInt64 = 0
        /// Groups that came to the database, or to their locks, more than a second after they were planned: they took as
        /// many.
        var late: UInt64 = 0
        var refused: UInt64 = 0
        var failed: UInt64 = 0
        var pendingEvents = 0
    }

    init(
        pool: Pool, queueCount: Int, logger: Logger, onHeadsLost: @escaping @Sendable ([JobID]) -> Void = { _ in },
        onAppended: @escaping @Sendable ([JobID]) -> Void
    ) {
        self.onHeadsLost = onHeadsLost
        reactor = pool.reactor
        writer = BatchWriter(pool: pool)
        queues = Mutex(AppendQueues(count: queueCount))
        self.logger = logger
        self.onAppended = onAppended
    }

    /// Appends, and returns once it is durably committed or has failed.
    func append(_ request: AppendRequest) async -> AppendResult {
        await withCheckedContinuation { continuation in
            append(request) { continuation.resume(returning: $0) }
        }
    }

    /// Appends, and calls once it is durably committed or has failed: on any thread.
    func append(_ request: AppendRequest, whenDone: @escaping @Sendable (AppendResult) -> Void) {
        guard !request.parts.isEmpty else { return whenDone(.success([])) }
        if isWatching.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged { beginWatching() }
        let isKnown = heads.withLock { $0.unknownJobs(request).isEmpty }
        let pending = PendingAppend(request, arrivedAt: .now, whenDone: whenDone)
        switch queues.withLock({ $0.add(pending, isKnown: isKnown) }) {
        case .queued: break
        case .beginsLookingUp: startLookingUp()
        case .begins(let queue): start(queue)
        case .overloaded(let waiting):
            figures.withLock { $0.refused += 1 }
            whenDone(
                .failure(
                    StoreError(
                        .overloaded, "\(waiting) events wait to be written already; nothing was taken",
                        retryAfter: .seconds(1))))
        case .closed:
            whenDone(.failure(StoreError(.closed, "the server is stopping; nothing was taken")))
        }
    }

    // MARK: Time limits

    private func beginWatching() {
        Task(name: "appender-limits") { [weak self] in
            while await self?.answerOverdue() ?? false {
                do { try await Task.sleep(for: Self.lookInterval) } catch { return }
            }
        }
    }

    /// Answers the callers that have waited for too long.
    ///
    /// - Returns: Whether there may be more.
    private func answerOverdue() async -> Bool {
        let now = ContinuousClock.now
        let (waiting, writing, hasEnded) = queues.withLock { queues in
            (
                queues.withdraw(arrivedBefore: now - Self.waitingMax),
                queues.written(arrivedBefore: now - Self.answerMax), queues.hasEnded
            )
        }
        for append in waiting {
            append.finish(
                .failure(
                    StoreError(
                        .unavailable,
                        "PostgreSQL has not taken events for \(Self.waitingMax.components.seconds) s; nothing was taken",
                        retryAfter: .seconds(1))))
        }
        for append in writing {
            append.finish(
                .failure(
                    StoreError(
                        .outcomeUnknown,
                        "PostgreSQL has not confirmed the commit for \(Self.answerMax.components.seconds) s",
                        retryAfter: .seconds(1))))
        }
        return !hasEnded
    }

    /// Remembers where a job stands that was just created: most are written to at once, by who created them.
    func jobCreated(_ new: JobCreator.NewJob) {
        heads.withLock { $0.storeUnlessCached([new.id: new.head], clock: new.clock, readAt: new.readAt) }
        acknowledged.acknowledge([(new.id, new.head)])
    }

    /// Takes no more, and returns when what was taken is written or has failed.
    func close() async {
        await withCheckedContinuation { continuation in
            if queues.withLock({ $0.close(continuation) }) { continuation.resume() }
        }
    }

    var currentFigures: Figures {
        var figures = figures.withLock { $0 }
        figures.pendingEvents = queues.withLock { $0.pendingEvents }
        return figures
    }

    /// The last failure of a group of appends; nil if one has succeeded since, or half a minute has passed.
    var lastFailure: LedgerStatus.Failure? {
        guard let last = failure.withLock({ $0 }), last.at.duration(to: .now) < Self.failureAgeMax else { return nil }
        return last.failure
    }

    private func start(_ queue: Int) {
        Task(name: "appender-lane-\(queue)", executorPreference: reactor.taskExecutor) { await self.run(queue) }
    }

    private func run(_ queue: Int) async {
        while let group = queues.withLock({ $0.takeGroup(queue) }) {
            let results = await write(group, until: .now + Self.groupMax)
            let beginsLookingUp = queues.withLock { queues in
                queues.written(group, queue)
                return queues.beginsLookingUp()
            }
            if beginsLookingUp { startLookingUp() }
            for (pending, result) in zip(group, results) { pending.finish(result) }
        }
        resumeClosing()
    }

    private func resumeClosing() {
        for waiter in queues.withLock({ $0.takeCloseWaiters() }) { waiter.resume() }
    }

    // MARK: Unknown jobs

    private func startLookingUp() {
        Task(name: "appender-heads", executorPreference: reactor.taskExecutor) { await self.lookUpHeads() }
    }

    /// Looks up where the jobs stand of which nothing is cached, many at once. Those who write to them then join their queues,
    /// and are written in one round trip; what names a job that there is not fails.
    ///
    /// Where few of very many jobs are written to at a time, nearly every append is to an unknown one. In a queue they would
    /// either keep the whole group waiting for the locks of their heads, or wait for the group.
    private func lookUpHeads() async {
        while let appends = queues.withLock({ $0.takeAppendsWithUnknownHead() }) {
            let jobs = heads.withLock { heads in Set(appends.flatMap { heads.unknownJobs($0.request) }) }
            // Another append to the same job may have been looked up since.
            let missing = jobs.isEmpty ? [] : await lookUp(jobs)
            var found: [PendingAppend] = []
            var lost: [PendingAppend] = []
            for append in appends {
                if append.request.parts.contains(where: { missing.contains($0.job) }) {
                    lost.append(append)
                } else {
                    found.append(append)
                }
            }
            let begun = queues.withLock { queues in
                queues.ended(lost.filter { !$0.isWithdrawn })
                return queues.requeue(found)
            }
            for queue in begun { start(queue) }
            for append in lost {
                append.finish(.failure(.unknown(append.request.parts.map(\.job).filter(missing.contains))))
            }
        }
        resumeClosing()
    }

    /// Learns where these jobs stand, if that can be found out now: else the group that writes to them does.
    ///
    /// Somebody else may write to them at the same time, and make what is remembered here useless, not dangerous: the
    /// statement that writes compares.
    ///
    /// - Returns: Those that there are not, as somebody says who might write to them: not a standby that lags behind.
    private func lookUp(_ jobs: Set<JobID>) async -> Set<JobID> {
        do throws(PQError) {
            let found = try await loadHeads(jobs, locking: false)
            let missing = jobs.subtracting(found)
            return missing.isEmpty ? [] : missing.subtracting(try await loadHeads(missing, locking: true))
        } catch {
            logger.debug("heads could not be looked up ahead", metadata: ["error": "\(error)"])
            return []
        }
    }

    private func loadHeads(_ jobs: Set<JobID>, locking: Bool) async throws(PQError) -> Set<JobID> {
        let (found, clock) = try await writer.heads(of: Array(jobs), locking: locking)
        heads.withLock { $0.storeUnlessCached(found, clock: clock) }
        return Set(found.keys)
    }

    // MARK: Writing

    /// Writes a group, again if it failed for a reason that passes, and in parts if one of its appends may be the reason.
    /// Each part's callers get their results as soon as it is written.
    private func write(_ group: [PendingAppend], until end: ContinuousClock.Instant) async -> [AppendResult] {
        let results = await writeUnfinished(group, until: end)
        for (pending, result) in zip(group, results) { pending.finish(result) }
        return results
    }

    private func writeUnfinished(
        _ group: [PendingAppend], until end: ContinuousClock.Instant
    ) async -> [AppendResult] {
        let requests = group.map(\.request)
        var attempt = 1
        while true {
            let failure: BatchFailure
            do throws(BatchFailure) { return try await write(requests) } catch { failure = error }
            heads.withLock { $0.invalidate(requests) }
            if let plan = failure.plan {
                switch await resolveOutcome(plan, refusedFrom: failure.refusedFrom, until: end) {
                case true: return recordSuccess(plan)
                case false: break
                default: return recordFailure(failure.error, requests)
                }
            } else if requests.count > 1, Self.mayBeOnesFault(failure.error) {
                logger.warning(
                    "a group of appends failed, and is written in parts",
                    metadata: ["append.group": "\(requests.count)", "error": "\(failure.error)"])
                if failure.error.isBlocked, let results = await writeAroundLocks(group, failure.error, until: end) {
                    return results
                }
                let half = group.count / 2
                return await write(Array(group[..<half]), until: end)
                    + write(Array(group[half...]), until: end)
            } else if !failure.error.isRetrySafe {
                return recordFailure(failure.error, requests)
            }
            let attemptsMax = failure.error.isBlocked ? Self.blockedAttemptsMax : Self.attemptsMax
            guard attempt < attemptsMax, .now < end else {
                // Nothing of it is there: if the outcome was unknown, that has been settled.
                let error = failure.error
                return recordFailure(
                    PQError(error.code, error.message, sqlState: error.sqlState, server: error.server), requests)
            }
            logger.warning(
                "a group of appends is tried again",
                metadata: ["append.attempt": "\(attempt)", "error": "\(failure.error)"])
            await pause(after: attempt)
            attempt += 1
        }
    }

    /// Whether one append of a group may be the reason why all of it failed: any reason that does not pass, such as a
    /// partition that is not attached, and a lock that somebody holds.
    private static func mayBeOnesFault(_ error: PQError) -> Bool {
        !error.isRetrySafe || error.isBlocked
    }

    /// Writes the appends whose heads can be locked now, and fails the others, which somebody else holds.
    ///
    /// - Returns: The results in the order of the group; nil if it cannot be told which heads are locked, or none is.
    private func writeAroundLocks(
        _ group: [PendingAppend], _ error: PQError, until end: ContinuousClock.Instant
    ) async -> [AppendResult]? {
        let jobs = Set(group.flatMap { $0.request.parts.map(\.job) })
        let free: Set<JobID>
        do throws(PQError) { free = try await writer.lockable(jobs) } catch { return nil }
        let isFree = group.map { $0.request.parts.allSatisfy { free.contains($0.job) } }
        let blocked = zip(group, isFree).filter { !$1 }.map(\.0)
        guard !blocked.isEmpty else { return nil }
        let failures = recordFailure(error, blocked.map(\.request))
        for (pending, failure) in zip(blocked, failures) { pending.finish(failure) }
        let rest = zip(group, isFree).filter(\.1).map(\.0)
        var written = rest.isEmpty ? [] : await write(rest, until: end)
        var failed = failures
        return isFree.map { $0 ? written.removeFirst() : failed.removeFirst() }
    }

    /// In one round trip where we know all heads and nobody else has moved them, else in two.
    private func write(_ requests: [AppendRequest]) async throws(BatchFailure) -> [AppendResult] {
        guard let (cached, clock) = heads.withLock({ $0.cached(requests) }) else {
            return recordSuccess(try await writer.write(requests))
        }
        if case .written(let outcome) = try await writer.write(requests, from: cached, clock: clock) {
            return recordSuccess(outcome)
        }
        heads.withLock { $0.invalidateClock() }
        let outcome = try await writer.write(requests)
        // Where no head had moved, it was the time that was wrong.
        let moved = outcome.plan.moved(since: cached)
        let back = outcome.plan.wentBack(since: cached)
        if !back.isEmpty { onHeadsLost(back) }
        heads.withLock { $0.markShared(moved) }
        figures.withLock { if moved.isEmpty { $0.late += 1 } else { $0.overtaken += 1 } }
        return recordSuccess(outcome)
    }

    /// Whether a group that was cut off took place; nil where the database does not say in time.
    private func resolveOutcome(
        _ plan: BatchPlan, refusedFrom: Timestamp?, until end: ContinuousClock.Instant
    ) async -> Bool? {
        for attempt in 1...Self.attemptsMax where .now < end {
            do throws(PQError) {
                switch try await writer.resolveOutcome(plan, refusedFrom: refusedFrom) {
                case .tookPlace: return true
                case .isOff: return false
                case .isOpen(let rest): await sleep(rest)
                }
            } catch {
                logger.warning("cannot tell yet whether a commit took place", metadata: ["error": "\(error)"])
                await pause(after: attempt)
            }
        }
        return nil
    }

    private func pause(after attempt: Int) async {
        guard attempt < Self.attemptsMax else { return }
        let pause = (1..<attempt).reduce(Self.retryPause) { pause, _ in pause * 3 }
        await sleep(pause)
    }

    /// The queue's task is never cancelled: what was taken is written or answered.
    private func sleep(_ pause: Duration) async {
        do { try await Task.sleep(for: pause) } catch { return }
    }

    private func recordSuccess(_ outcome: BatchWriter.WriteResult) -> [AppendResult] {
        heads.withLock { $0.store(outcome.plan.newHeads, clock: outcome.clock, readAt: outcome.readAt) }
        return recordSuccess(outcome.plan)
    }

    private func recordSuccess(_ plan: BatchPlan) -> [AppendResult] {
        failure.withLock { $0 = nil }
        figures.withLock { figures in
            figures.groups += 1
            figures.events += UInt64(plan.columns.count)
        }
        let heads = plan.newHeads
        acknowledged.acknowledge(heads)
        onAppended(heads.map(\.job))
        return plan.results
    }

    private func recordFailure(_ error: PQError, _ requests: [AppendRequest]) -> [AppendResult] {
        figures.withLock { $0.failed += UInt64(requests.count) }
        guard !error.isMissingPartition else {
            return requests.map { .failure(.detached($0.parts.map(\.job))) }
        }
        failure.withLock {
            $0 = (
                LedgerStatus.Failure(at: .now, state: error.sqlState?.rawValue, message: error.message), .now
            )
        }
        let storeError = StoreError(error, while: "appending events")
        return requests.map { _ in .failure(storeError) }
    }
}
