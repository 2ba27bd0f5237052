internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import Logging
internal import NIOCore
internal import Synchronization

/// Serves all who watch: hears which snapshots move, reads each changed one once, encodes it once, and puts it into the
/// buffers of all who watch it.
///
/// It works in rounds, ten a second at most, each of which reads all that has moved since the one before. So nobody is
/// sent a job more often than that, and what a change costs the database does not depend on how many watch. Watchers who
/// are too many for this are sent less often, and never take more than half of the time of the threads that serve sockets.
final class WatchBroadcaster: Sendable {
    /// The least time from the beginning of one readChanges to that of the next.
    private static let readInterval: Duration = .milliseconds(100)
    /// How long the database is left alone after a readChanges that it did not answer.
    private static let failurePause: Duration = .seconds(1)
    /// How often everything that is watched is looked at even if no hint has come: one query for a hundred jobs.
    private static let pollInterval: Duration = .seconds(5)
    /// How often each watcher is told that the connection lives: below the 30 s and more after which proxies give up
    /// connections that are silent.
    private static let heartbeatInterval: Duration = .seconds(15)
    /// Snapshots read in one query.
    private static let jobsAtOnce = 100
    /// Snapshots read in one readChanges, so that those who watch one job do not wait for those who watch thousands.
    private static let jobsPerRead = 500
    private static let listsPerRead = 20

    private struct PendingSubscription {
        let job: JobID
        let take: @Sendable (WatchSubscription?) -> Void
    }

    private struct State {
        var table = SubscriptionTable()
        /// Who waits for the first snapshot of a job that nobody has watched before.
        var pending: [PendingSubscription] = []
        var isClosed = false

        /// Everybody who has or wants a place.
        var count: Int { table.count + pending.count }
    }

    private let service: any LedgerService
    private let settings: ServerSettings
    private let metrics: HTTPMetrics
    private let logger: Logger
    private let state = Mutex(State())
    private let changes: AsyncStream<Void>
    private let changeSignal: AsyncStream<Void>.Continuation
    private let pendingSignals: AsyncStream<Void>
    private let pendingSignal: AsyncStream<Void>.Continuation

    init(service: any LedgerService, settings: ServerSettings, metrics: HTTPMetrics, logger: Logger) {
        self.service = service
        self.settings = settings
        self.metrics = metrics
        self.logger = logger
        // Rung twice, it need be heard only once.
        (changes, changeSignal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (pendingSignals, pendingSignal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: Coming and going

    /// Lets somebody watch a job; nil where there is none of this id.
    ///
    /// - Parameter known: The snapshot that he has already.
    func subscribe(_ job: JobID, from known: StreamPosition?) async throws -> WatchSubscription? {
        try await subscribe(.job(job), from: known) {
            let began = ContinuousClock.now
            guard let view = try await service.job(job) else { return nil }
            return [EncodedSnapshot(view, readSince: began)]
        }
    }

    /// Lets somebody watch a list of jobs.
    func subscribe(_ list: SubscriptionTable.List) async throws -> WatchSubscription {
        let subscription = try await subscribe(.list(list), from: nil) {
            let began = ContinuousClock.now
            return try await service.jobs(list.filter, limit: list.limit, after: list.cursor).map {
                EncodedSnapshot($0, readSince: began)
            }
        }
        guard let subscription else { throw tooManyWatchers }
        return subscription
    }

    private func subscribe(
        _ subject: SubscriptionTable.Subject, from known: StreamPosition?, read: () async throws -> [EncodedSnapshot]?
    ) async throws -> WatchSubscription? {
        let isKnown = try state.withLock { state in
            try admit(subject, state)
            return state.table.isKnown(subject, from: known)
        }
        var encodedSnapshots: [EncodedSnapshot] = []
        if !isKnown {
            guard let found = try await read() else { return nil }
            encodedSnapshots = found
        }
        if let subscription = try register(subject, reading: encodedSnapshots, isKnown: isKnown) { return subscription }
        return try await subscribe(subject, from: known, read: read)
    }

    /// - Returns: Nil where what was known is known no more: whoever else watched it may have left meanwhile.
    private func register(
        _ subject: SubscriptionTable.Subject, reading encodedSnapshots: [EncodedSnapshot], isKnown: Bool
    ) throws(HTTPProblem) -> WatchSubscription? {
        let buffer = ConflatingBuffer()
        let subscribed: (number: Int, deliveries: [SubscriptionTable.Delivery])? = try state.withLock {
            state throws(HTTPProblem) in
            try admit(subject, state)
            guard state.table.isWatched(subject) || !isKnown else { return nil }
            return state.table.add(subject, reading: encodedSnapshots, buffer)
        }
        guard let subscribed else { return nil }
        metrics.watchersChanged(by: 1)
        Self.deliver(subscribed.deliveries)
        changeSignal.yield()
        return WatchSubscription(buffer: buffer) { [weak self] in self?.unsubscribe(subject, subscribed.number) }
    }

    /// Lets somebody watch a job, without a task that waits for it.
    ///
    /// - Parameter take: Called once, on any thread, at once where the job is watched already. Gets nil where he may not
    ///   watch it, or cannot: ``subscribe(_:from:)`` tells why.
    func subscribe(_ job: JobID, from known: StreamPosition?, _ take: @escaping @Sendable (WatchSubscription?) -> Void)
    {
        let isKnown = state.withLock { $0.table.isKnown(.job(job), from: known) }
        do throws(HTTPProblem) {
            if isKnown, let subscription = try register(.job(job), reading: [], isKnown: true) {
                return take(subscription)
            }
            try state.withLock { state throws(HTTPProblem) in
                try admit(.job(job), state)
                state.pending.append(PendingSubscription(job: job, take: take))
            }
        } catch {
            return take(nil)
        }
        pendingSignal.yield()
    }

    /// Reads the jobs of those who have arrived, many in one query, and lets them in.
    private func admitPending() async {
        for await _ in pendingSignals {
            while true {
                let pending = state.withLock { state in
                    let first = Array(state.pending.prefix(Self.jobsAtOnce))
                    state.pending.removeFirst(first.count)
                    return first
                }
                if pending.isEmpty { break }
                var encodedSnapshots: [JobID: EncodedSnapshot] = [:]
                let began = ContinuousClock.now
                do throws(StoreError) {
                    for view in try await service.jobs(Array(Set(pending.map(\.job)))) {
                        encodedSnapshots[view.id] = EncodedSnapshot(view, readSince: began)
                    }
                } catch {
                    // The general route, to which they are handed on, tells them why.
                    logger.debug("arrivals could not be read", metadata: ["error": "\(String(reflecting: error))"])
                }
                for pendingSignal in pending {
                    pendingSignal.take(
                        encodedSnapshots[pendingSignal.job].flatMap { registered(pendingSignal.job, $0) })
                }
            }
        }
    }

    /// - Returns: Nil where there is no place any more, which the general route tells.
    private func registered(_ job: JobID, _ encoded: EncodedSnapshot) -> WatchSubscription? {
        do throws(HTTPProblem) { return try register(.job(job), reading: [encoded], isKnown: false) } catch {
            return nil
        }
    }

    private func admit(_ subject: SubscriptionTable.Subject, _ state: State) throws(HTTPProblem) {
        guard !state.isClosed, state.count < settings.watchersMax else { throw tooManyWatchers }
        if case .list = subject, !state.table.isWatched(subject), state.table.listCount >= settings.watchedListsMax {
            throw tooManyWatchers
        }
    }

    private var tooManyWatchers: HTTPProblem {
        HTTPProblem(
            .serviceUnavailable, "Too many watchers",
            "This server has as many watchers as it can serve, or is stopping. Try again later, or read the progress with "
                + "If-None-Match and Prefer: wait.",
            headers: HTTPFields(retryAfter: .seconds(5)))
    }

    private func unsubscribe(_ subject: SubscriptionTable.Subject, _ number: Int) {
        state.withLock { $0.table.remove(subject, number) }
        metrics.watchersChanged(by: -1)
    }

    /// Ends every stream, so that a server that stops does not wait for them.
    func close() {
        let (buffers, pending) = state.withLock { state in
            state.isClosed = true
            defer { state.pending = [] }
            return (state.table.buffers, state.pending)
        }
        for buffer in buffers { buffer.close() }
        for pendingSignal in pending { pendingSignal.take(nil) }
        changeSignal.finish()
        pendingSignal.finish()
    }

    // MARK: Rounds

    /// Serves until it is closed or the task is cancelled.
    func run() async {
        let subscription = service.observeSnapshots { [weak self] in self?.receive($0) }
        await withTaskCancellationHandler {
            await withTaskGroup { group in
                group.addTask { await self.sendHeartbeats() }
                group.addTask { await self.admitPending() }
                var next = ContinuousClock.now
                for await _ in changes {
                    do { try await Task.sleep(until: next) } catch { break }
                    let started = ContinuousClock.now
                    let isRead = await readChanges()
                    // Where it takes long to send to all, everything else gets as much time before the next readChanges.
                    let sent = await EventLoopExecutor.catchUp()
                    next = max(started + Self.readInterval, .now + (isRead ? sent : Self.failurePause))
                }
                group.cancelAll()
            }
        } onCancel: {
            close()
        }
        withExtendedLifetime(subscription) {}
    }

    private func receive(_ hint: SnapshotHint) {
        let isDue = state.withLock { state in
            guard state.table.count > 0 else { return false }
            state.table.receive(hint)
            return state.table.isAnythingDue
        }
        if isDue { changeSignal.yield() }
    }

    /// Looks and heartbeats.
    private func sendHeartbeats() async {
        var nextHeartbeat = ContinuousClock.now + Self.heartbeatInterval
        while true {
            do { try await Task.sleep(for: Self.pollInterval) } catch { return }
            state.withLock { $0.table.markEverythingDue() }
            changeSignal.yield()
            guard ContinuousClock.now >= nextHeartbeat else { continue }
            nextHeartbeat = .now + Self.heartbeatInterval
            for buffer in state.withLock({ $0.table.buffers }) { buffer.offerHeartbeat() }
        }
    }

    /// Reads what is due and tells who watches it; false where the database did not answer.
    private func readChanges() async -> Bool {
        var reading = state.withLock { $0.table.take(jobsMax: Self.jobsPerRead, listsMax: Self.listsPerRead) }
        do throws(StoreError) {
            while !reading.jobs.isEmpty {
                let began = ContinuousClock.now
                let views = try await service.jobs(Array(reading.jobs.prefix(Self.jobsAtOnce)))
                reading.jobs.removeFirst(min(Self.jobsAtOnce, reading.jobs.count))
                let encodedSnapshots = views.map { EncodedSnapshot($0, readSince: began) }
                Self.deliver(state.withLock { state in encodedSnapshots.flatMap { state.table.publish($0) } })
            }
            while let list = reading.lists.first {
                let began = ContinuousClock.now
                let views = try await service.jobs(list.filter, limit: list.limit, after: list.cursor)
                reading.lists.removeFirst()
                let encodedSnapshots = views.map { EncodedSnapshot($0, readSince: began) }
                Self.deliver(state.withLock { $0.table.publish(encodedSnapshots, in: list) })
            }
        } catch {
            // The next readChanges tries again; meanwhile watchers see the age of what they have.
            logger.warning("watched jobs could not be read", metadata: ["error": "\(String(reflecting: error))"])
            let unread = reading
            state.withLock { $0.table.putBack(unread) }
            changeSignal.yield()
            return false
        }
        if state.withLock({ $0.table.isAnythingDue }) { changeSignal.yield() }
        return true
    }

    private static func deliver(_ deliveries: [SubscriptionTable.Delivery]) {
        for delivery in deliveries {
            switch delivery {
            case .encoded(let encoded, let buffer): buffer.offer(encoded)
            case .list(let list, let left, let buffer): buffer.offer(list, without: left)
            }
        }
    }
}

/// The right to a buffer, which ends when it is let go.
final class WatchSubscription: Sendable {
    let buffer: ConflatingBuffer
    private let unsubscribe: @Sendable () -> Void

    init(buffer: ConflatingBuffer, unsubscribe: @escaping @Sendable () -> Void) {
        self.buffer = buffer
        self.unsubscribe = unsubscribe
    }

    deinit { unsubscribe() }
}
