public import AsyncPrimitives
public import Ledger
public import Logging
public import PQ
public import ServiceLifecycle
package import Synchronization
public import Tracing

/// A ledger stored in PostgreSQL.
///
/// Create one with ``init(target:settings:logger:)`` and check it with ``checkSchema()``. It works while ``run()``
/// runs, which listens to other servers and workers and, at its end, writes the appends that were accepted.
public final class PostgresLedger: Service {
    /// The settings for the use of the database.
    public struct Settings: Sendable {
        /// The maximum number of connections for reading and for the rest.
        public var connectionsMax = 8
        /// The maximum number of connections for appending and for creating jobs.
        ///
        /// One for each queue, and some to read heads and to create jobs.
        public var appendConnectionsMax = 5
        /// The maximum number of connections for replays.
        ///
        /// Each batch in progress takes up to four.
        public var replayConnectionsMax = 8
        /// The number of groups of appends that are written concurrently.
        public var appendGroupsMax = 2
        /// The role that the sessions take. It may not change events.
        ///
        /// `nil` keeps the login role.
        public var role: String? = "progress_ledger_service"
        /// A standby that serves reads of the past; nil for none.
        ///
        /// It must be one server: a name of several could lead to one that lags.
        public var replica: ConnectionTarget?
        /// The time limit of an operation.
        public var operationDeadline: Duration = .seconds(30)
        /// The clock by which cached heads age. Tests stop and shift it.
        package var now: @Sendable () -> ContinuousClock.Instant = { .now }

        public init() {}

        /// The maximum number of connections in all, without the one that listens.
        public var connectionsTotal: Int { connectionsMax + appendConnectionsMax + replayConnectionsMax }

        /// Divides a number of connections among the pools in proportion to their defaults.
        ///
        /// Each pool gets at least one.
        public mutating func share(connections: Int) {
            let usual = (reading: connectionsMax, appending: appendConnectionsMax, replaying: replayConnectionsMax)
            let sum = connectionsTotal
            appendConnectionsMax = max(1, min(usual.appending, connections * usual.appending / sum))
            replayConnectionsMax = max(1, connections * usual.replaying / sum)
            connectionsMax = max(1, connections - appendConnectionsMax - replayConnectionsMax)
        }
    }

    /// The connections for reading. The projection uses them too.
    public let pool: Pool
    /// The jobs that a projection worker in this process has to examine.
    public let projectionQueue = ProjectionQueue()

    /// The connections of replays.
    ///
    /// They are separate so that reading does not wait for replays: while one transaction compares projections, others
    /// fold.
    public let replayPool: Pool

    /// The signal that wakes the replay runner in this process.
    ///
    /// A runner also looks at intervals, because another process may have started a replay.
    public let replaySignal = AsyncSignal()

    /// The signal that wakes the sender of notifications in this process.
    ///
    /// A sender also looks at intervals, because another process may have enqueued a notification.
    public let notificationSignal = AsyncSignal()

    /// Whether a job without a snapshot was found recently.
    package let missingSnapshots: MissingSnapshots
    let appender: Appender
    let notifier = SnapshotNotifier()
    let jobStates: JobStates
    let snapshots: SnapshotReader
    /// The summaries of completed jobs.
    package let summaries: RunSummaryStore
    let estimates: EstimateReader
    let stalls: StallReader
    let stamps: BatchedLookup<SnapshotStamp>
    let sharedSnapshots: BatchedLookup<StampedJob>
    let eventReader: EventReader
    let jobCreator: JobCreator
    let pointInTimeFold: PointInTimeFold
    let replays: ReplayStore
    let workers = WorkerStatistics()
    let heartbeats: WorkerHeartbeats
    let lagReading: CachedReading<LedgerStatus.Lag>
    let guaranteeReading: CachedReading<[String]>
    let partitionReading: CachedReading<[StatusReader.MissingMonth]>
    let jobCountReading: CachedReading<JobCountsByName>
    let appendPool: Pool
    public let tokens: TokenRegistry
    let tokenStore: TokenStore
    /// The subscriptions to jobs, as steps of the projection find them.
    package let subscriptionMatcher = SubscriptionMatcher()
    let subscriptionStore: SubscriptionStore
    package let deliveryStore: DeliveryStore
    package let deliveryStatistics = DeliveryStatistics()
    /// The standby that serves reads of the past.
    let replica: ReadReplica?
    /// The divided ledger that this one is a shard of.
    package let replayParent = Mutex<ReplayParent?>(nil)
    /// Whether it reads the tokens from its own database.
    private let readsTokens: Bool
    private let publisher: HintPublisher
    /// Jobs that may have lost acknowledged events. An empty array means all jobs.
    private let lossSource: AsyncStream<[JobID]>
    private let lossSink: AsyncStream<[JobID]>.Continuation
    private let target: ConnectionTarget
    /// The pools and the listener of this process.
    private let group: PoolGroup
    private let role: String?
    private let instance: String
    let logger: Logger
    /// The backend for spans; nil for none.
    package let tracer: (any Tracer)?

    /// Creates a ledger in this database without connecting to it.
    ///
    /// - Parameter tracer: The backend for spans; nil for none, which costs nothing.
    public convenience init(
        target: ConnectionTarget, settings: Settings = Settings(), logger: Logger, tracer: (any Tracer)? = nil
    ) {
        self.init(
            target: target, settings: settings, tokens: TokenRegistry(), readsTokens: true, logger: logger,
            tracer: tracer)
    }

    /// Creates a ledger for each shard of a divided ledger, without connecting to them.
    ///
    /// They share the tokens, which are in shard 0.
    public static func shards(
        _ targets: [Int: ConnectionTarget], settings: Settings = Settings(), logger: Logger,
        tracer: (any Tracer)? = nil
    ) -> [Int: PostgresLedger] {
        let tokens = TokenRegistry()
        return Dictionary(
            uniqueKeysWithValues: targets.map { number, target in
                var logger = logger
                logger[metadataKey: "shard"] = "\(number)"
                let ledger = PostgresLedger(
                    target: target, settings: settings, tokens: tokens, readsTokens: number == 0, logger: logger,
                    tracer: tracer)
                return (number, ledger)
            })
    }

    private init(
        target: ConnectionTarget, settings: Settings, tokens: TokenRegistry, readsTokens: Bool, logger: Logger,
        tracer: (any Tracer)?
    ) {
        self.target = target
        self.tokens = tokens
        self.readsTokens = readsTokens
        role = settings.role
        self.logger = logger
        self.tracer = tracer
        instance = String(UInt64.random(in: 0 ... .max), radix: 36)
        let group = PoolGroup()
        self.group = group
        func makePool(_ connections: Int, _ name: String, _ session: SessionRequirements) -> Pool {
            var pool = Pool.Settings()
            pool.connectionsMax = connections
            pool.operationDeadline = settings.operationDeadline
            pool.session = session
            pool.group = group
            pool.applicationName = "progress-ledger \(name)"
            return Pool(target: target, settings: pool, logger: logger, tracer: tracer)
        }
        // The server's limit is a little longer than the client's. It applies if the client has ended and cannot
        // cancel.
        let statementTimeout = settings.operationDeadline + .seconds(5)
        pool = makePool(
            settings.connectionsMax, "server",
            LedgerSession.requirements(role: settings.role, statementTimeout: statementTimeout))
        // A server that is suspended during an append holds the locks of the heads. Other servers wait for it no longer
        // than this.
        var appending = LedgerSession.requirements(
            role: settings.role, statementTimeout: statementTimeout, idleTimeout: .seconds(2),
            lockTimeout: LedgerSession.appendLockTimeout)
        appending.isWritable = true
        appendPool = makePool(settings.appendConnectionsMax, "appender", appending)
        // Comparing large projections takes long. Its transaction is idle while other connections fold the jobs that it
        // has locked.
        let replaying = LedgerSession.requirements(
            role: settings.role, statementTimeout: .seconds(320), idleTimeout: .seconds(320))
        replayPool = makePool(settings.replayConnectionsMax, "replay", replaying)
        publisher = HintPublisher(pool: pool, instance: instance, logger: logger)
        missingSnapshots = MissingSnapshots()
        summaries = RunSummaryStore(pool: pool, tokens: tokens)
        estimates = EstimateReader(pool: pool, summaries: summaries)
        stalls = StallReader(summaries: summaries)
        snapshots = SnapshotReader(pool: pool, missing: missingSnapshots, estimates: estimates, stalls: stalls)
        let reader = snapshots
        jobStates = JobStates(pool)
        stamps = BatchedLookup(on: pool.reactor, jobsMax: 1_000) { jobs throws(PQError) in try await reader.stamps(jobs)
        }
        // Reading jobs takes several round trips, and their estimates are computed.
        sharedSnapshots = BatchedLookup(on: pool.reactor, jobsMax: 50, queriesMax: 2) { jobs throws(PQError) in
            try await reader.stamped(jobs)
        }
        eventReader = EventReader(pool: pool)
        jobCreator = JobCreator(pool: appendPool, now: settings.now)
        pointInTimeFold = PointInTimeFold(pool: pool)
        replays = ReplayStore(pool: replayPool)
        // Reads of other callers must not delay a revocation.
        tokenStore = TokenStore(
            pool: makePool(
                1, "tokens", LedgerSession.requirements(role: settings.role, statementTimeout: .seconds(15))))
        subscriptionStore = SubscriptionStore(pool: pool)
        deliveryStore = DeliveryStore(pool: pool)
        heartbeats = WorkerHeartbeats(pool: pool, instance: instance, logger: logger)
        let status = StatusReader(pool: pool)
        let missing = missingSnapshots
        let ages = FutureAges()
        lagReading = CachedReading(ageMax: .seconds(2)) { () async throws(PQError) in
            let lag = try await status.lag(ages)
            missing.note(lag.missingSnapshots > 0)
            return lag
        }
        guaranteeReading = CachedReading(ageMax: .seconds(10)) { () async throws(PQError) in
            try await status.guaranteeFaults()
        }
        partitionReading = CachedReading(ageMax: .seconds(10)) { () async throws(PQError) in
            try await status.missingPartitions()
        }
        let jobCounts = JobCountReader(pool: pool, snapshots: snapshots)
        jobCountReading = CachedReading(ageMax: .seconds(15)) { () async throws(PQError) in
            try await jobCounts.counts()
        }
        let primary = pool
        replica = settings.replica.map { target in
            var reading = settings
            reading.replica = nil
            let copy = PostgresLedger(
                target: target, settings: reading, tokens: tokens, readsTokens: false, logger: logger, tracer: tracer)
            return ReadReplica(ledger: copy, primary: primary, logger: logger)
        }
        let publisher = publisher
        let projectionQueue = projectionQueue
        let (lossSource, lossSink) = AsyncStream.makeStream(of: [JobID].self, bufferingPolicy: .bufferingOldest(100))
        self.lossSource = lossSource
        self.lossSink = lossSink
        appender = Appender(
            pool: appendPool, groupsInFlightMax: settings.appendGroupsMax, logger: logger, tracer: tracer,
            now: settings.now, onHeadsLost: { lossSink.yield($0) }
        ) { jobs in
            projectionQueue.enqueue(jobs)
            guard publisher.hasPeers else { return }
            Task(name: "hint-appended") { await publisher.appended(jobs) }
        }
    }

    /// Compares the database's schema with the one that this build needs.
    ///
    /// Changes nothing.
    public func checkSchema() async throws -> SchemaStatus {
        try await Migrator(target: target, logger: logger).check()
    }

    /// Checks that the database gives sessions everything that the ledger needs.
    ///
    /// That is its role, its encoding, and a session for each connection. A standby passes, because it may be promoted
    /// later.
    ///
    /// - Throws: ``PQError/Code/sessionRefused`` with the remedy.
    public static func checkSession(
        of target: ConnectionTarget, settings: Settings = Settings(), logger: Logger
    ) async throws(PQError) {
        var pool = Pool.Settings()
        pool.connectionsMax = 2
        pool.session = LedgerSession.requirements(role: settings.role, statementTimeout: .seconds(10))
        _ = try await Pool(target: target, settings: pool, logger: logger).checkSession()
    }

    /// Listens to other processes until the task ends or the service group shuts down.
    ///
    /// Then it writes the appends that were accepted and closes the connections.
    public func run() async throws {
        let partitions = Task(name: "partitions") { await makePartitions() }
        let presence = Task(name: "presence") { await publishPresence() }
        let heartbeat = Task(name: "worker-heartbeats") { await publishHeartbeats() }
        let losses = Task(name: "acknowledged-heads") { await compareAcknowledged() }
        let access = Task(name: "tokens") { if readsTokens { await refreshTokens(logger) } }
        defer {
            access.cancel()
            losses.cancel()
            heartbeat.cancel()
            partitions.cancel()
            presence.cancel()
        }
        let listener = Listener(
            target: target,
            channels: [
                HintPublisher.appendedChannel, HintPublisher.foldedChannel,
                HintPublisher.presenceChannel,
            ],
            session: LedgerSession.requirements(role: role, statementTimeout: .seconds(15)),
            applicationName: "progress-ledger listener", group: group, logger: logger)
        await cancelWhenGracefulShutdown { [self] in
            await listener.run { await handle($0) }
        }
        projectionQueue.close()
        await appender.close()
        await replica?.ledger.closePools()
        await closePools()
    }

    private func closePools() async {
        await appendPool.close()
        await replayPool.close()
        await tokenStore.pool.close()
        await pool.close()
    }

    private func handle(_ event: Listener.Event) async {
        switch event {
        case .connected:
            projectionQueue.requestSweep()
            lossSink.yield([])
            jobStates.expireAll()
            await notifier.catchUp()
            await publisher.publishPresence()
        case .disconnected(let error):
            logger.warning("cannot listen to other servers and workers", metadata: ["error": "\(error)"])
        case .notification(let notification):
            guard let items = HintPublisher.read(notification, instance: instance) else { return }
            // A new process gets a response, so that the two processes find each other at once.
            if await publisher.recordPeer() { await publisher.publishPresence() }
            if notification.channel == HintPublisher.presenceChannel {
                return
            }
            if notification.channel == HintPublisher.appendedChannel {
                let jobs = items.compactMap { JobID(String($0)) }
                if jobs.count == items.count { projectionQueue.enqueue(jobs) } else { projectionQueue.requestSweep() }
            } else {
                await handleFolded(items)
            }
        }
    }

    /// Compares acknowledged events with the ledger whenever it may have lost some.
    private func compareAcknowledged() async {
        for await jobs in lossSource {
            do throws(PQError) {
                for loss in try await appender.acknowledged.check(jobs.isEmpty ? nil : jobs, on: pool) {
                    logger.critical(
                        """
                        acknowledged events are no longer in the ledger: the database was restored, or failed over to a \
                        standby that did not have them
                        """,
                        metadata: [
                            "job": "\(loss.job)", "sequence.acknowledged": "\(loss.acknowledged)",
                            "sequence.found": "\(loss.found)",
                        ])
                }
            } catch {
                if Task.isCancelled { return }
                logger.warning(
                    "cannot compare acknowledged events with the ledger; retrying",
                    metadata: ["error": "\(error)"])
                do { try await Task.sleep(for: .seconds(5)) } catch { return }
                lossSink.yield(jobs)
            }
        }
    }

    private func handleFolded(_ items: [Substring]) async {
        for item in items {
            guard let hint = HintPublisher.FoldedHint(item) else {
                jobStates.expireAll()
                await notifier.catchUp()
                return
            }
            jobStates.folded(hint.job, hint.sequence, hint.endState)
            await notifier.folded(hint.job, hint.sequence)
        }
    }

    private func publishPresence() async {
        while !Task.isCancelled {
            await publisher.publishPresence()
            do { try await Task.sleep(for: HintPublisher.presence.interval) } catch { return }
        }
    }

    /// Publishes the heartbeat of the projection worker, if one runs in this process.
    private func publishHeartbeats() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: WorkerHeartbeats.interval) } catch { return }
            let state = workers.current
            if state.isRunning { await heartbeats.publish(state, pendingJobs: projectionQueue.pendingJobCount) }
        }
    }

    /// Creates partitions months ahead, and deletes old idempotency keys.
    ///
    /// No partition is then missing when a month begins.
    private func makePartitions() async {
        while !Task.isCancelled {
            do {
                let rows = try await pool.query(Query("select ledger.make_event_partitions()"))
                let made = try rows[0].decode(0, as: Int.self)
                _ = try await pool.commit([IdempotencyKey.removeExpired])
                if made > 0 { logger.info("created partitions", metadata: ["partition.count": "\(made)"]) }
            } catch {
                logger.warning("cannot create partitions; retrying", metadata: ["error": "\(error)"])
            }
            do { try await Task.sleep(for: .seconds(3_600)) } catch { return }
        }
    }

    /// Announces events that were recorded by another way than the appender.
    func eventsAppended(_ jobs: [JobID]) async {
        projectionQueue.enqueue(jobs)
        if publisher.hasPeers { await publisher.appended(jobs) }
    }

    /// Announces that a replay in this process has made other projections live.
    ///
    /// The new ones are at the same sequences, so watchers must read them again.
    public func projectionSwitched() async {
        jobStates.expireAll()
        await notifier.catchUp()
        await publisher.projectionSwitched()
    }

    /// Announces snapshots that a projection worker in this process has moved.
    public func snapshotsFolded(_ jobs: [(job: JobID, sequence: EventSequence, state: JobState)]) async {
        for (job, sequence, state) in jobs {
            // The state first, so that a caller whom the notifier wakes finds it.
            jobStates.folded(job, sequence, state)
            await notifier.folded(job, sequence)
        }
        await publisher.folded(jobs)
    }
}
