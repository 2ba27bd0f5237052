internal import DequeModule
internal import Ledger
internal import Logging
internal import PQ
internal import Synchronization
internal import Tracing

/// Accepts appends and writes them in groups.
///
/// The appends that arrive while a group commits form the next group. There is no timer; groups grow and shrink with
/// the load. ``GroupCommitQueue`` decides which appends make up a group. The writers run on the reactor's thread, as
/// the connections do, so an append changes threads only twice.
final class Appender: Sendable {
    /// The maximum number of attempts to write a group.
    ///
    /// The pause between them triples each time, so they take 0.8 s in all.
    private static let attemptsMax = 5
    /// The maximum number of attempts to write an append to a locked head.
    ///
    /// Another transaction has locked the head. Each attempt takes 3 s, and other appends wait for it.
    private static let blockedAttemptsMax = 3
    private static let retryPause: Duration = .milliseconds(20)
    /// The maximum time that an append waits to be written.
    ///
    /// After it the caller gets the error that nothing was recorded.
    static let queueTimeout: Duration = .seconds(20)
    /// The maximum time that a caller waits in all.
    ///
    /// After it the caller gets the error that the outcome is unknown. The group continues.
    static let resultTimeout: Duration = .seconds(30)
    /// The maximum time that a writer takes for one group.
    ///
    /// It includes the resolution of an unknown outcome.
    private static let groupMax: Duration = .seconds(25)
    /// The interval at which time limits are checked.
    private static let checkInterval: Duration = .seconds(1)

    private let reactor: Reactor
    /// The clock of all time limits, and by which cached heads age.
    private let now: @Sendable () -> ContinuousClock.Instant
    private let writer: GroupCommitWriter
    private let logger: Logger
    /// The backend for spans; nil for none.
    private let tracer: (any Tracer)?
    private let onAppended: @Sendable ([JobID]) -> Void
    private let queue: Mutex<GroupCommitQueue>
    private let heads = Mutex(HeadCache())
    private let counters = Mutex(Counters())
    /// The acknowledged heads, to be compared with the ledger.
    let acknowledged = AcknowledgedHeads()
    /// Called with jobs that may have lost acknowledged events.
    private let onHeadsLost: @Sendable ([JobID]) -> Void
    private let isCheckingLimits = Atomic(false)
    private let isWatchingStalls = Atomic(false)
    /// The last group that failed; nil if one has succeeded since.
    private let failure = Mutex<(failure: LedgerStatus.Failure, at: ContinuousClock.Instant)?>(nil)
    /// The time for which a failure is reported.
    ///
    /// A load balancer may send nothing to a server that reports a failure, so no success would end it.
    private static let failureAgeMax: Duration = .seconds(30)

    /// Counters since the start.
    struct Counters: Sendable {
        var events: UInt64 = 0
        var groups: UInt64 = 0
        /// Groups that found a head moved by another server.
        ///
        /// Each took three round trips instead of one.
        var overtaken: UInt64 = 0
        /// Groups that were over a second late.
        ///
        /// They reached the database, or got their locks, over a second after they were planned. Each took three round
        /// trips instead of one.
        var late: UInt64 = 0
        var refused: UInt64 = 0
        var failed: UInt64 = 0
        var pendingEvents = 0
    }

    init(
        pool: Pool, groupsInFlightMax: Int, logger: Logger, tracer: (any Tracer)? = nil,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        onHeadsLost: @escaping @Sendable ([JobID]) -> Void = { _ in },
        onAppended: @escaping @Sendable ([JobID]) -> Void
    ) {
        self.onHeadsLost = onHeadsLost
        reactor = pool.reactor
        self.now = now
        writer = GroupCommitWriter(pool: pool, now: now)
        queue = Mutex(GroupCommitQueue(limits: GroupCommitQueue.Limits(groupsInFlightMax: groupsInFlightMax)))
        self.logger = logger
        self.tracer = tracer
        self.onAppended = onAppended
    }

    // MARK: Appends

    /// Appends, and returns once the events are durable or the append has failed.
    func append(_ request: AppendRequest) async -> AppendResult {
        await withCheckedContinuation { continuation in
            append(request) { continuation.resume(returning: $0) }
        }
    }

    /// Callback variant: calls `whenDone` once, on any thread.
    func append(_ request: AppendRequest, whenDone: @escaping @Sendable (AppendResult) -> Void) {
        guard request.eventCount > 0 else { return whenDone(.success([])) }
        let whenDone = tracer.map { AppendSpan($0, request).ending(before: whenDone) } ?? whenDone
        if isCheckingLimits.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged {
            checkLimits()
        }
        let append = PendingAppend(request, arrivedAt: now(), whenDone: whenDone)
        switch queue.withLock({ $0.add(append, now: append.arrivedAt) }) {
        case .queued: break
        case .startWriter: startWriter()
        case .overloaded(let pending):
            counters.withLock { $0.refused += 1 }
            whenDone(
                .failure(
                    StoreError(
                        .overloaded, "\(pending) events already wait to be written; nothing was recorded",
                        retryAfter: .seconds(1))))
        case .closed:
            whenDone(.failure(StoreError(.closed, "the server is stopping; nothing was recorded")))
        }
    }

    /// Caches the head of a new job.
    ///
    /// Most jobs get their first events immediately, through the server that created them.
    func jobCreated(_ new: JobCreator.NewJob) {
        heads.withLock {
            $0.storeUnlessCached([new.id: new.head], clock: new.clock, readAt: new.readAt, now: now())
        }
        acknowledged.acknowledge([(new.id, new.head)])
    }

    /// Refuses further appends, and waits until all accepted ones have results.
    func close() async {
        await withCheckedContinuation { continuation in
            if queue.withLock({ $0.close(continuation) }) { continuation.resume() }
        }
    }

    var currentCounters: Counters {
        var counters = counters.withLock { $0 }
        counters.pendingEvents = queue.withLock { $0.pendingEvents }
        return counters
    }

    /// The last failure of a group; nil after a later success, or after half a minute.
    var lastFailure: LedgerStatus.Failure? {
        guard let last = failure.withLock({ $0 }), last.at.duration(to: now()) < Self.failureAgeMax else { return nil }
        return last.failure
    }

    // MARK: Time limits

    private func checkLimits() {
        Task.detached(name: "appender-limits") { [weak self] in
            while self?.finishOverdue() ?? false {
                do { try await Task.sleep(for: Self.checkInterval) } catch { return }
            }
        }
    }

    /// Fails the appends that are over their time limits.
    ///
    /// - Returns: Whether there may be more.
    private func finishOverdue() -> Bool {
        let now = self.now()
        let (waiting, inFlight, hasEnded) = queue.withLock { queue in
            (
                queue.withdraw(arrivedBefore: now - Self.queueTimeout),
                queue.appendsInFlight(arrivedBefore: now - Self.resultTimeout), queue.hasEnded
            )
        }
        for append in waiting {
            append.finish(
                .failure(
                    StoreError(
                        .unavailable,
                        "PostgreSQL accepted no events for \(Self.queueTimeout.components.seconds) s; nothing was recorded",
                        retryAfter: .seconds(1))))
        }
        for append in inFlight {
            append.finish(
                .failure(
                    StoreError(
                        .outcomeUnknown,
                        "PostgreSQL has not confirmed the commit for \(Self.resultTimeout.components.seconds) s",
                        retryAfter: .seconds(1))))
        }
        if hasEnded { resumeCloseWaiters() }
        return !hasEnded
    }

    // MARK: Writers

    private func startWriter() {
        // It writes for all callers, so it is not a part of the trace of one.
        Task.detached(name: "appender-writer", executorPreference: reactor.taskExecutor) { await self.runWriter() }
        if isWatchingStalls.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged {
            Task.detached(name: "appender-stalls") { await self.watchStalls() }
        }
    }

    /// Starts another writer if a group stalls while appends to other jobs wait.
    ///
    /// That includes appends that waited behind one that was withdrawn.
    ///
    /// One task for all groups: a timer for each would cost as much as a small append.
    private func watchStalls() async {
        repeat {
            while queue.withLock({ $0.hasWriters }) {
                await sleep(queue.withLock { $0.limits.stallTimeout })
                if queue.withLock({ $0.reserveWriter(now: now()) }) { startWriter() }
            }
            isWatchingStalls.store(false, ordering: .relaxed)
            // A writer may have started after the last look.
        } while queue.withLock({ $0.hasWriters })
            && isWatchingStalls.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged
    }

    private func runWriter() async {
        while let (number, group) = queue.withLock({ $0.takeGroup(now: now()) }) {
            _ = await writeAndFinish(group, until: now() + Self.groupMax)
            queue.withLock { $0.finish(number) }
        }
        resumeCloseWaiters()
    }

    private func resumeCloseWaiters() {
        for waiter in queue.withLock({ $0.takeCloseWaiters() }) { waiter.resume() }
    }

    // MARK: Writing

    /// Writes a group and passes the results to its callers.
    ///
    /// If it is written in parts, the callers of each part get their results as soon as the part is written.
    private func writeAndFinish(_ group: [PendingAppend], until end: ContinuousClock.Instant) async -> [AppendResult] {
        let results = await writeWithRetries(group, until: end)
        for (append, result) in zip(group, results) { append.finish(result) }
        return results
    }

    /// Writes a group.
    ///
    /// It tries again after a transient failure, and writes the group in parts if one of its appends may be the cause.
    private func writeWithRetries(
        _ group: [PendingAppend], until end: ContinuousClock.Instant
    ) async -> [AppendResult] {
        let requests = group.map(\.request)
        var attempt = 1
        while true {
            let failure: GroupCommitFailure
            do throws(GroupCommitFailure) { return try await writeOnce(requests) } catch { failure = error }
            heads.withLock { $0.invalidate(requests) }
            if let plan = failure.plan {
                switch await resolveOutcome(plan, expiry: failure.expiry, until: end) {
                case .recorded: return recordSuccess(plan)
                case .notRecorded: break
                case .unresolved: return recordFailure(failure.error, requests)
                }
            } else if requests.count > 1, Self.mayHaveOneCause(failure.error) {
                logger.warning(
                    "a group of appends failed; writing it in parts",
                    metadata: ["append.group": "\(requests.count)", "error": "\(failure.error)"])
                if failure.error.isBlocked, let results = await writeAroundLocks(group, failure.error, until: end) {
                    return results
                }
                let half = group.count / 2
                return await writeAndFinish(Array(group[..<half]), until: end)
                    + writeAndFinish(Array(group[half...]), until: end)
            } else if !failure.error.isRetrySafe {
                return recordFailure(failure.error, requests)
            }
            let attemptsMax = failure.error.isBlocked ? Self.blockedAttemptsMax : Self.attemptsMax
            guard attempt < attemptsMax, now() < end else {
                // The outcome is known by now: the error must not say that it is unknown.
                return recordFailure(failure.error.withKnownOutcome(), requests)
            }
            logger.warning(
                "trying a group of appends again",
                metadata: ["append.attempt": "\(attempt)", "error": "\(failure.error)"])
            await pause(after: attempt)
            attempt += 1
        }
    }

    /// Whether a single append may have made the whole group fail.
    ///
    /// This holds for any permanent failure, such as a detached partition, and for a lock of another transaction.
    private static func mayHaveOneCause(_ error: PQError) -> Bool {
        !error.isRetrySafe || error.isBlocked
    }

    /// Writes the appends of a group that are not blocked, and fails the others.
    ///
    /// An append is blocked if another transaction has locked one of its heads.
    ///
    /// - Returns: The results in the order of the group; nil if the locked heads cannot be determined, or none is
    ///   locked.
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
        for (append, failure) in zip(blocked, failures) { append.finish(failure) }
        let rest = zip(group, isFree).filter(\.1).map(\.0)
        var written = rest.isEmpty ? [] : Deque(await writeAndFinish(rest, until: end))
        var failed = Deque(failures)
        return isFree.map { $0 ? written.removeFirst() : failed.removeFirst() }
    }

    /// Writes requests, without a retry.
    ///
    /// This takes one round trip if all heads are cached and current, two if they are not cached, and three if they are
    /// stale.
    private func writeOnce(_ requests: [AppendRequest]) async throws(GroupCommitFailure) -> [AppendResult] {
        guard let (cached, clock) = heads.withLock({ $0.cached(requests, now: now()) }) else {
            return recordSuccess(try await writer.writeWithLocks(requests))
        }
        if case .written(let outcome) = try await writer.writeIfUnchanged(requests, from: cached, clock: clock) {
            return recordSuccess(outcome)
        }
        heads.withLock { $0.invalidateClock() }
        let outcome = try await writer.writeWithLocks(requests)
        // If no head has moved, the planned time was wrong.
        let moved = outcome.plan.jobsMoved(since: cached)
        let lost = outcome.plan.jobsLost(since: cached)
        if !lost.isEmpty { onHeadsLost(lost) }
        heads.withLock { $0.markShared(moved, now: now()) }
        counters.withLock { if moved.isEmpty { $0.late += 1 } else { $0.overtaken += 1 } }
        return recordSuccess(outcome)
    }

    /// The outcome of an interrupted group, after all attempts to look it up.
    private enum ResolvedOutcome {
        case recorded, notRecorded
        /// The database did not respond in time.
        case unresolved
    }

    /// Finds out whether an interrupted group was recorded.
    private func resolveOutcome(
        _ plan: GroupCommitPlan, expiry: Timestamp?, until end: ContinuousClock.Instant
    ) async -> ResolvedOutcome {
        for attempt in 1...Self.attemptsMax where now() < end {
            do throws(PQError) {
                switch try await writer.lookUpOutcome(of: plan, expiry: expiry) {
                case .recorded: return .recorded
                case .notRecorded: return .notRecorded
                case .undecided(let rest): await sleep(min(rest, now().duration(to: end)))
                }
            } catch {
                logger.warning("cannot determine yet whether a commit succeeded", metadata: ["error": "\(error)"])
                await pause(after: attempt)
            }
        }
        return .unresolved
    }

    private func pause(after attempt: Int) async {
        guard attempt < Self.attemptsMax else { return }
        let pause = (1..<attempt).reduce(Self.retryPause) { pause, _ in pause * 3 }
        await sleep(pause)
    }

    /// Sleeps.
    ///
    /// The writer's task is never cancelled, because every accepted append must be written or failed.
    private func sleep(_ pause: Duration) async {
        do { try await Task.sleep(for: pause) } catch { return }
    }

    private func recordSuccess(_ outcome: GroupCommitWriter.WriteResult) -> [AppendResult] {
        heads.withLock {
            $0.store(outcome.plan.newHeads, clock: outcome.clock, readAt: outcome.readAt, now: now())
        }
        return recordSuccess(outcome.plan)
    }

    private func recordSuccess(_ plan: GroupCommitPlan) -> [AppendResult] {
        failure.withLock { $0 = nil }
        guard plan.columns.count > 0 else { return plan.results }
        counters.withLock { counters in
            counters.groups += 1
            counters.events += UInt64(plan.columns.count)
        }
        let heads = plan.newHeads
        acknowledged.acknowledge(heads)
        onAppended(heads.map(\.job))
        return plan.results
    }

    private func recordFailure(_ error: PQError, _ requests: [AppendRequest]) -> [AppendResult] {
        counters.withLock { $0.failed += UInt64(requests.count) }
        guard !error.isMissingPartition else {
            return requests.map { .failure(.detached($0.parts.map(\.job))) }
        }
        guard !error.isRetiredJob else { return requests.map { .failure(.retired($0.parts.map(\.job))) } }
        failure.withLock {
            $0 = (
                LedgerStatus.Failure(at: .now, state: error.sqlState?.rawValue, message: error.message), now()
            )
        }
        let storeError = StoreError(error, while: "appending events")
        return requests.map { _ in .failure(storeError) }
    }
}
