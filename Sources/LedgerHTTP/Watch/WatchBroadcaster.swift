internal import AsyncPrimitives
internal import HTTPTypes
internal import Ledger
internal import LedgerStore
internal import Logging
internal import NIOCore
internal import Synchronization

/// Sends changed snapshots to all subscribers.
///
/// It works in rounds, at most ten a second. A round reads all snapshots that have changed since the previous round,
/// encodes each once and offers it to the buffers of its subscribers. Therefore no subscriber gets a job more than ten
/// times a second, and the database's cost of a change does not depend on the number of subscribers. If sending takes
/// long, rounds are less frequent: watching takes at most half of the time of the event loops.
final class WatchBroadcaster: Sendable {
    /// The minimum time from the start of one round to the start of the next.
    private static let roundInterval: Duration = .milliseconds(100)
    /// The pause after a round with a failed read.
    private static let failureRetryPause: Duration = .seconds(1)
    /// The interval at which all watched snapshots are read even without a hint.
    ///
    /// This costs one query for a hundred jobs.
    private static let pollInterval: Duration = .seconds(5)
    /// The number of polls between two heartbeats, which makes 15 s.
    ///
    /// It is below the 30 s and more after which proxies close silent connections.
    private static let pollsPerHeartbeat = 3
    /// The maximum number of snapshots in one query.
    private static let jobsPerQuery = 100
    /// The maximum number of snapshots in one round.
    ///
    /// It keeps the watcher of one job from waiting for the watcher of thousands.
    private static let jobsPerRound = 500
    private static let listsPerRound = 20

    /// The lists that are read for new subscribers at the same time.
    private static let listReadsMax = 4

    private struct State {
        var table = WatchSubscriptionTable()
        /// Subscriptions to jobs that wait for the first snapshot, in the order of arrival.
        var jobs: [PendingWatch] = []
        /// Subscriptions to lists that wait for the first read.
        var lists: [WatchSubscriptionTable.List: [PendingWatch]] = [:]
        /// The lists of ``lists`` that are not being read yet, in the order of arrival.
        var listQueue: [WatchSubscriptionTable.List] = []
        var listReads = 0
        /// The pending subscriptions, those being read included.
        var pendingCount = 0
        var isClosed = false

        /// The number of subscriptions, pending ones included.
        var count: Int { table.count + pendingCount }

        mutating func add(_ pending: PendingWatch) {
            pendingCount += 1
            switch pending.subject {
            case .job: jobs.append(pending)
            case .list(let list):
                if lists[list] == nil { listQueue.append(list) }
                lists[list, default: []].append(pending)
            }
        }

        /// Removes a pending subscription, unless its subject is being read.
        mutating func remove(_ pending: PendingWatch) {
            switch pending.subject {
            case .job:
                guard let index = jobs.firstIndex(where: { $0 === pending }) else { return }
                jobs.remove(at: index)
            case .list(let list):
                guard let index = lists[list]?.firstIndex(where: { $0 === pending }) else { return }
                lists[list]?.remove(at: index)
                if lists[list]?.isEmpty == true, let place = listQueue.firstIndex(of: list) {
                    listQueue.remove(at: place)
                    lists[list] = nil
                }
            }
            pendingCount -= 1
        }

        /// Begins the read of the next list; nil if there is none or enough are being read.
        mutating func beginListRead(max: Int) -> WatchSubscriptionTable.List? {
            guard listReads < max, !listQueue.isEmpty else { return nil }
            listReads += 1
            return listQueue.removeFirst()
        }

        /// Ends the read of a list, and returns its subscriptions.
        mutating func endListRead(_ list: WatchSubscriptionTable.List) -> [PendingWatch] {
            listReads -= 1
            let pending = lists.removeValue(forKey: list) ?? []
            pendingCount -= pending.count
            return pending
        }
    }

    private let service: any LedgerService
    private let settings: ServerSettings
    private let metrics: HTTPMetrics
    private let logger: Logger
    private let state = Mutex(State())
    /// Signals that a round is due.
    private let roundSignal = AsyncSignal()
    /// Signals that a subscription to a job is pending.
    private let pendingSignal = AsyncSignal()
    /// Signals that a list may be read for new subscribers.
    private let listSignal = AsyncSignal()

    init(service: any LedgerService, settings: ServerSettings, metrics: HTTPMetrics, logger: Logger) {
        self.service = service
        self.settings = settings
        self.metrics = metrics
        self.logger = logger
    }

    // MARK: Subscriptions

    /// Subscribes to a job or a list of jobs.
    ///
    /// - Parameter whenDone: Called once, on any thread; at once if the subject is watched already. Gets nil if the job
    ///   does not exist, a limit is reached, or the database does not respond; ``WatchRoutes`` finds out which.
    /// - Returns: The pending subscription, to be withdrawn if its client disconnects; nil if it is not pending.
    func subscribe(
        _ request: WatchRequest, whenDone: @escaping @Sendable (WatchSubscription?) -> Void
    ) -> PendingWatch? {
        let isCached = state.withLock { $0.table.hasSnapshot(of: request.subject, from: request.position) }
        if isCached, let subscription = register(request.subject, reading: [], isCached: true) {
            whenDone(subscription)
            return nil
        }
        let pending = PendingWatch(subject: request.subject, whenDone: whenDone)
        let isAdmitted = state.withLock { state in
            guard mayAdmit(request.subject, state) else { return false }
            state.add(pending)
            return true
        }
        guard isAdmitted else {
            whenDone(nil)
            return nil
        }
        if request.job == nil { listSignal.signal() } else { pendingSignal.signal() }
        return pending
    }

    /// Forgets a pending subscription, because its client has disconnected.
    func withdraw(_ pending: PendingWatch) {
        state.withLock { $0.remove(pending) }
    }

    /// Whether a subscription to this subject would be within the limits.
    func hasRoom(for subject: WatchSubscriptionTable.Subject) -> Bool {
        state.withLock { mayAdmit(subject, $0) }
    }

    /// Adds a subscription to the table.
    ///
    /// - Parameter isCached: Whether nothing was read, because the table had the snapshots of the subject.
    /// - Returns: Nil if a limit is reached, or if the table has lost the snapshots with the last other subscriber.
    private func register(
        _ subject: WatchSubscriptionTable.Subject, reading snapshots: [EncodedSnapshot], isCached: Bool
    ) -> WatchSubscription? {
        let buffer = NewestUpdateBuffer()
        let added: (number: Int, deliveries: [WatchSubscriptionTable.Delivery])? = state.withLock { state in
            guard mayAdmit(subject, state), state.table.isWatched(subject) || !isCached else { return nil }
            return state.table.add(subject, reading: snapshots, buffer)
        }
        guard let added else { return nil }
        metrics.watchersChanged(by: 1)
        Self.deliver(added.deliveries)
        roundSignal.signal()
        // The deliveries must not be captured: they contain the first snapshot.
        let number = added.number
        return WatchSubscription(buffer: buffer) { [weak self] in self?.unsubscribe(subject, number) }
    }

    /// Reads the jobs of pending subscriptions and registers these.
    ///
    /// One query reads many jobs.
    private func admitJobs() async {
        await pendingSignal.listen {
            while true {
                let pending = state.withLock { state in
                    let first = Array(state.jobs.prefix(Self.jobsPerQuery))
                    state.jobs.removeFirst(first.count)
                    return first
                }
                if pending.isEmpty { break }
                var found: [WatchSubscriptionTable.Subject: EncodedSnapshot] = [:]
                do throws(StoreError) {
                    let jobs = Set(pending.map(\.subject)).compactMap {
                        if case .job(let job) = $0 { job } else { nil }
                    }
                    for snapshot in try await read(jobs) { found[.job(snapshot.job)] = snapshot }
                } catch {
                    logger.debug(
                        "cannot read the jobs of new watchers", metadata: ["error": "\(String(reflecting: error))"])
                }
                state.withLock { $0.pendingCount -= pending.count }
                for watch in pending { finish(watch, reading: found[watch.subject].map { [$0] }) }
            }
        }
    }

    /// Reads the lists of pending subscriptions and registers these.
    ///
    /// A list may take long, and must delay neither jobs nor other lists, so a few are read at the same time.
    private func admitLists() async {
        await withDiscardingTaskGroup { group in
            await listSignal.listen {
                while let list = state.withLock({ $0.beginListRead(max: Self.listReadsMax) }) {
                    group.addTask { await self.admit(list) }
                }
            }
            group.cancelAll()
        }
    }

    private func admit(_ list: WatchSubscriptionTable.List) async {
        var snapshots: [EncodedSnapshot]?
        do throws(StoreError) { snapshots = try await read(list) } catch {
            logger.debug("cannot read the list of new watchers", metadata: ["error": "\(String(reflecting: error))"])
        }
        for watch in state.withLock({ $0.endListRead(list) }) { finish(watch, reading: snapshots) }
        listSignal.signal()
    }

    private func finish(_ pending: PendingWatch, reading snapshots: [EncodedSnapshot]?) {
        pending.whenDone(snapshots.flatMap { register(pending.subject, reading: $0, isCached: false) })
    }

    private func mayAdmit(_ subject: WatchSubscriptionTable.Subject, _ state: State) -> Bool {
        guard !state.isClosed, state.count < settings.watchersMax else { return false }
        guard case .list(let list) = subject, !state.table.isWatched(subject), state.lists[list] == nil else {
            return true
        }
        return state.table.listCount + state.lists.count < settings.watchedListsMax
    }

    /// The refusal of a stream.
    static var tooManyWatchers: HTTPProblem {
        HTTPProblem(
            .serviceUnavailable, "Too many watchers",
            "The server has reached its maximum number of watchers, or is stopping. Try again later, or read the progress "
                + "with If-None-Match and Prefer: wait.",
            headers: HTTPFields(retryAfter: .seconds(5)))
    }

    private func unsubscribe(_ subject: WatchSubscriptionTable.Subject, _ number: Int) {
        state.withLock { $0.table.remove(subject, number) }
        metrics.watchersChanged(by: -1)
    }

    /// Ends all streams.
    ///
    /// A server that stops must not wait for them.
    func close() {
        let (buffers, pending) = state.withLock { state in
            state.isClosed = true
            let pending = state.jobs + state.listQueue.flatMap { state.lists[$0] ?? [] }
            for list in state.listQueue { state.lists[list] = nil }
            state.jobs = []
            state.listQueue = []
            state.pendingCount -= pending.count
            return (state.table.buffers, pending)
        }
        for buffer in buffers { buffer.close() }
        for subscription in pending { subscription.whenDone(nil) }
        roundSignal.signal()
    }

    // MARK: Reading

    private func read(_ jobs: [JobID]) async throws(StoreError) -> [EncodedSnapshot] {
        guard !jobs.isEmpty else { return [] }
        let started = ContinuousClock.now
        return try await service.jobs(jobs).map { EncodedSnapshot($0, readSince: started) }
    }

    private func read(_ list: WatchSubscriptionTable.List) async throws(StoreError) -> [EncodedSnapshot] {
        let started = ContinuousClock.now
        return try await list.read(from: service).map { EncodedSnapshot($0, readSince: started) }
    }

    // MARK: Rounds

    /// Runs until it is closed or the task is cancelled.
    func run() async {
        let subscription = service.observeSnapshots { [weak self] in self?.receive($0) }
        await withTaskCancellationHandler {
            await withTaskGroup { group in
                group.addTask { await self.poll() }
                group.addTask { await self.admitJobs() }
                group.addTask { await self.admitLists() }
                var next = ContinuousClock.now
                while true {
                    await roundSignal.wait()
                    guard !state.withLock({ $0.isClosed }) else { break }
                    do { try await Task.sleep(until: next) } catch { break }
                    let started = ContinuousClock.now
                    let isRead = await runRound()
                    // The next round waits for as long as sending took, so other work gets half of the time.
                    let sent = await EventLoopExecutor.catchUp()
                    next = max(started + Self.roundInterval, .now + (isRead ? sent : Self.failureRetryPause))
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
        if isDue { roundSignal.signal() }
    }

    /// Marks everything as due at each interval, and sends heartbeats.
    ///
    /// Polling is necessary because hints can be lost.
    private func poll() async {
        for polls in 1... {
            do { try await Task.sleep(for: Self.pollInterval) } catch { return }
            state.withLock { $0.table.markEverythingDue() }
            roundSignal.signal()
            guard polls.isMultiple(of: Self.pollsPerHeartbeat) else { continue }
            for buffer in state.withLock({ $0.table.buffers }) { buffer.offerHeartbeat() }
        }
    }

    /// Reads the due snapshots and delivers them.
    ///
    /// - Returns: False if a read failed.
    private func runRound() async -> Bool {
        var reading = state.withLock { $0.table.take(jobsMax: Self.jobsPerRound, listsMax: Self.listsPerRound) }
        do throws(StoreError) {
            while !reading.jobs.isEmpty {
                let snapshots = try await read(Array(reading.jobs.prefix(Self.jobsPerQuery)))
                reading.jobs.removeFirst(min(Self.jobsPerQuery, reading.jobs.count))
                Self.deliver(state.withLock { state in snapshots.flatMap { state.table.publish($0) } })
            }
            while let list = reading.lists.first {
                let snapshots = try await read(list)
                reading.lists.removeFirst()
                Self.deliver(state.withLock { $0.table.publish(snapshots, in: list) })
            }
        } catch {
            // The next round tries again. Until then clients see that their snapshots age.
            logger.warning("cannot read watched jobs", metadata: ["error": "\(String(reflecting: error))"])
            let unread = reading
            state.withLock { $0.table.putBack(unread) }
            roundSignal.signal()
            return false
        }
        if state.withLock({ $0.table.isAnythingDue }) { roundSignal.signal() }
        return true
    }

    private static func deliver(_ deliveries: [WatchSubscriptionTable.Delivery]) {
        for delivery in deliveries {
            switch delivery {
            case .snapshot(let snapshot, let buffer): buffer.offer(snapshot)
            case .list(let list, let removed, let buffer): buffer.offer(list, without: removed)
            }
        }
    }
}
