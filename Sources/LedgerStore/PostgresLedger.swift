public import Ledger
public import Logging
public import PQ
public import ServiceLifecycle

/// A ledger kept in PostgreSQL.
///
/// It is made with ``init(target:settings:logger:)``, checked with ``checkSchema()``, and lives while ``run()`` runs:
/// that listens to other servers and workers, and at its end writes what was taken.
public final class PostgresLedger: Service {
    /// How a ledger uses its database.
    public struct Settings: Sendable {
        /// The most connections for reading and for the rest.
        public var connectionsMax = 8
        /// The most connections for appending and for creating jobs: one for each queue, and some to look up heads and to
        /// create jobs.
        public var appendConnectionsMax = 5
        /// The most connections for replays: each batch that is worked on takes four at times.
        public var replayConnectionsMax = 8
        /// How many groups of appends are written at the same time.
        public var appendQueues = 2
        /// The role that the sessions take, which may not change events; nil keeps the one that logs in.
        public var role: String? = "progress_ledger_service"
        /// How long an operation may take.
        public var operationDeadline: Duration = .seconds(30)

        public init() {}

        /// The most connections in all, beside one that listens to other processes.
        public var connectionsTotal: Int { connectionsMax + appendConnectionsMax + replayConnectionsMax }

        /// Shares a number of connections out to the pools, as their usual sizes are to each other; each has one at
        /// least.
        public mutating func share(connections: Int) {
            let usual = (reading: connectionsMax, appending: appendConnectionsMax, replaying: replayConnectionsMax)
            let sum = connectionsTotal
            appendConnectionsMax = max(1, min(usual.appending, connections * usual.appending / sum))
            replayConnectionsMax = max(1, connections * usual.replaying / sum)
            connectionsMax = max(1, connections - appendConnectionsMax - replayConnectionsMax)
        }
    }

    /// The connections for reading, which the projection uses as well.
    public let pool: Pool
    /// What tells a projection worker in this process what to look at.
    public let signals = PendingJobs()

    /// The connections of replays, apart from the others, so that reading does not wait for them: what is compared in
    /// one transaction is folded in others meanwhile.
    public let replayPool: Pool

    /// What wakes a replay runner in this process.
    public let replayBell = ReplaySignal()

    /// Whether a job without a snapshot has been seen lately.
    package let missingSnapshots: MissingSnapshots
    let appender: Appender
    let hub = SnapshotNotifier()
    let snapshots: SnapshotReader
    let stamps: BatchedLookup<SnapshotStamp>
    let sharedSnapshots: BatchedLookup<StampedJob>
    let eventReader: EventReader
    let creator: JobCreator
    let folder: PointInTimeFold
    let replays: ReplayStore
    let workers = WorkerStatistics()
    let board: WorkerHeartbeats
    let lagMeter: CachedReading<LedgerStatus.Lag>
    let guaranteeReading: CachedReading<[String]>
    let partitionReading: CachedReading<[String]>
    let appendPool: Pool
    private let hints: NotificationPublisher
    /// Jobs that may have lost what was acknowledged; none in particular means any.
    private let lossSource: AsyncStream<[JobID]>
    private let lossSink: AsyncStream<[JobID]>.Continuation
    private let target: ConnectionTarget
    private let instance: String
    private let logger: Logger

    /// A ledger in this database. Connects to nothing yet.
    public init(target: ConnectionTarget, settings: Settings = Settings(), logger: Logger) {
        self.target = target
        self.logger = logger
        instance = String(UInt64.random(in: 0 ... .max), radix: 36)
        let group = PoolGroup()
        func makePool(_ connections: Int, _ name: String, _ session: SessionRequirements) -> Pool {
            var pool = Pool.Settings()
            pool.connectionsMax = connections
            pool.operationDeadline = settings.operationDeadline
            pool.session = session
            pool.group = group
            pool.applicationName = "progress-ledger \(name)"
            return Pool(target: target, settings: pool, logger: logger)
        }
        // The server gives up a little later than we do, in case we are not there any more to ask it to.
        let statementTimeout = settings.operationDeadline + .seconds(5)
        pool = makePool(
            settings.connectionsMax, "server",
            LedgerSession.requirements(role: settings.role, statementTimeout: statementTimeout))
        // A server that is frozen in the midst of an append holds the heads' locks, and others wait for it, no longer
        // than this.
        var appending = LedgerSession.requirements(
            role: settings.role, statementTimeout: statementTimeout, idleTimeout: .seconds(2),
            lockTimeout: LedgerSession.appendLockTimeout)
        appending.isWritable = true
        appendPool = makePool(settings.appendConnectionsMax, "appender", appending)
        // A comparison of large projections takes its time, and what it has locked is folded on other connections.
        let replaying = LedgerSession.requirements(
            role: settings.role, statementTimeout: .seconds(320), idleTimeout: .seconds(320))
        replayPool = makePool(settings.replayConnectionsMax, "replay", replaying)
        hints = NotificationPublisher(pool: pool, instance: instance, logger: logger)
        missingSnapshots = MissingSnapshots()
        snapshots = SnapshotReader(pool: pool, missing: missingSnapshots)
        let reader = snapshots
        stamps = BatchedLookup(on: pool.reactor, jobsMax: 1_000) { jobs throws(PQError) in try await reader.stamps(jobs)
        }
        sharedSnapshots = BatchedLookup(on: pool.reactor, jobsMax: 50) { jobs throws(PQError) in
            try await reader.stamped(jobs)
        }
        eventReader = EventReader(pool: pool)
        creator = JobCreator(pool: appendPool)
        folder = PointInTimeFold(pool: pool)
        replays = ReplayStore(pool: replayPool)
        board = WorkerHeartbeats(pool: pool, instance: instance, logger: logger)
        let status = StatusReader(pool: pool)
        let missing = missingSnapshots
        let ages = FutureAges()
        lagMeter = CachedReading(ageMax: .seconds(2)) { () async throws(PQError) in
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
        let hints = hints
        let signals = signals
        let (lossSource, lossSink) = AsyncStream.makeStream(of: [JobID].self, bufferingPolicy: .bufferingOldest(100))
        self.lossSource = lossSource
        self.lossSink = lossSink
        appender = Appender(
            pool: appendPool, queueCount: settings.appendQueues, logger: logger, onHeadsLost: { lossSink.yield($0) }
        ) { jobs in
            signals.appended(jobs)
            guard hints.hasPeers else { return }
            Task(name: "hint-appended") { await hints.appended(jobs) }
        }
    }

    /// Compares the database's schema with what this build needs. Changes nothing.
    public func checkSchema() async throws -> SchemaStatus {
        try await Migrator(target: target, logger: logger).check()
    }

    /// Checks that the database gives sessions what the ledger needs: its role, its encoding, and a session for each
    /// connection. A standby passes: it may be promoted later.
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

    /// Listens to other processes until the task is cancelled or the service group shuts down, then writes what was
    /// taken and closes the connections.
    public func run() async throws {
        let partitions = Task(name: "partitions") { await makePartitions() }
        let presence = Task(name: "presence") { await publishPresence() }
        let work = Task(name: "worker-board") { await publishPendingWork() }
        let losses = Task(name: "acknowledged-heads") { await compareAcknowledged() }
        defer {
            losses.cancel()
            work.cancel()
            partitions.cancel()
            presence.cancel()
        }
        let listener = Listener(
            target: target,
            channels: [
                NotificationPublisher.appendedChannel, NotificationPublisher.foldedChannel,
                NotificationPublisher.presenceChannel,
            ],
            applicationName: "progress-ledger listener", logger: logger)
        await cancelWhenGracefulShutdown { [self] in
            await listener.run { await hear($0) }
        }
        signals.close()
        await appender.close()
        await appendPool.close()
        await replayPool.close()
        await pool.close()
    }

    private func hear(_ event: Listener.Event) async {
        switch event {
        case .connected:
            signals.requestSweep()
            lossSink.yield([])
            await hub.catchUp()
            await hints.publishPresence()
        case .disconnected(let error):
            logger.warning("not listening to other servers and workers", metadata: ["error": "\(error)"])
        case .notification(let notification):
            guard let items = NotificationPublisher.read(notification, instance: instance) else { return }
            // A newcomer is answered, so that both know of each other at once.
            if await hints.heardPeer() { await hints.publishPresence() }
            if notification.channel == NotificationPublisher.presenceChannel {
                return
            }
            if notification.channel == NotificationPublisher.appendedChannel {
                let jobs = items.compactMap { JobID(String($0)) }
                if jobs.count == items.count { signals.appended(jobs) } else { signals.requestSweep() }
            } else {
                await hearFolded(items)
            }
        }
    }

    /// Compares what was acknowledged with the ledger, whenever it may have gone back.
    private func compareAcknowledged() async {
        for await jobs in lossSource {
            do throws(PQError) {
                for loss in try await appender.acknowledged.check(jobs.isEmpty ? nil : jobs, on: pool) {
                    logger.error(
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
                    "what was acknowledged could not be compared with the ledger; trying again",
                    metadata: ["error": "\(error)"])
                do { try await Task.sleep(for: .seconds(5)) } catch { return }
                lossSink.yield(jobs)
            }
        }
    }

    private func hearFolded(_ items: [Substring]) async {
        for item in items {
            let parts = item.split(separator: "=")
            guard parts.count == 2, let job = JobID(String(parts[0])), let sequence = Int64(parts[1]) else {
                await hub.catchUp()
                return
            }
            await hub.folded(job, sequence)
        }
    }

    private func publishPresence() async {
        while !Task.isCancelled {
            await hints.publishPresence()
            do { try await Task.sleep(for: NotificationPublisher.presence.interval) } catch { return }
        }
    }

    /// Where a projection worker runs in this process, it is said now and then that it does.
    private func publishPendingWork() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: WorkerHeartbeats.interval) } catch { return }
            let state = workers.current
            if state.isRunning { await board.tell(state, pendingJobs: signals.pendingJobCount) }
        }
    }

    /// Partitions are made months ahead of time, so that none is missing when a month begins.
    private func makePartitions() async {
        while !Task.isCancelled {
            do {
                let rows = try await pool.query(Query("select ledger.make_event_partitions()"))
                let made = try rows[0].decode(0, as: Int.self)
                if made > 0 { logger.info("made partitions", metadata: ["partition.count": "\(made)"]) }
            } catch {
                logger.warning("partitions could not be made; trying again", metadata: ["error": "\(error)"])
            }
            do { try await Task.sleep(for: .seconds(3_600)) } catch { return }
        }
    }

    /// Events of these jobs were recorded otherwise than by the appender.
    func eventsAppended(_ jobs: [JobID]) async {
        signals.appended(jobs)
        if hints.hasPeers { await hints.appended(jobs) }
    }

    /// For a replay in this process: other projections are live now, at the same sequences. Whoever watches looks again.
    public func projectionSwitched() async {
        await hub.catchUp()
        await hints.foldedAnew()
    }

    /// For a projection worker in this process: these snapshots have moved.
    public func snapshotsFolded(_ jobs: [(job: JobID, sequence: Int64)]) async {
        for (job, sequence) in jobs { await hub.folded(job, sequence) }
        await hints.folded(jobs)
    }
}
