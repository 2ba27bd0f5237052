internal import Ledger
public import LedgerStore
public import Logging
internal import PQ
public import ServiceLifecycle
internal import Synchronization

/// Works on the replays that were asked for. Any number of runners, in any number of processes, share a replay.
///
/// What is to be done, and what has been, stands in the database; a batch belongs to whoever holds its advisory lock, which
/// PostgreSQL takes back when that process dies. So a runner may be killed at any moment: another one, or the next one,
/// goes on where the database says that it was.
public struct ReplayRunner: Service {
    private let ledger: PostgresLedger
    private let settings: ReplaySettings
    private let logger: Logger
    private let failures = Failures()
    private let memory = ReplayBudget()

    /// A runner on this ledger, which must be running itself.
    public init(ledger: PostgresLedger, settings: ReplaySettings = ReplaySettings(), logger: Logger) {
        self.ledger = ledger
        self.settings = settings
        self.logger = logger
    }

    /// Works until the task is cancelled or the service group shuts down; what is under way then is taken up later.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await ledger.replayBell.listen(every: settings.lookInterval) { await workUntilIdle() }
        }
    }

    /// Works on the replay that is under way, if there is one.
    private func workUntilIdle() async {
        let checkpoints = ReplayCheckpoints(pool: ledger.replayPool)
        do {
            guard let replay = try await checkpoints.current() else {
                // Said twice by two processes, it changes nothing.
                for ended in try await checkpoints.unreported() {
                    try await ReplayReporter(ledger: ledger, logger: logger).end(ended.id, ended.state.outcome)
                }
                return
            }
            do {
                try await work(on: replay, checkpoints)
                failures.forget(replay.id)
            } catch {
                try await recordFailure(error, of: replay, checkpoints)
            }
        } catch {
            // Of the database itself: the bell rings again.
            if !Task.isCancelled {
                logger.warning("replays could not be looked at", metadata: ["error": "\(String(reflecting: error))"])
            }
        }
    }

    private func work(on replay: ReplayCheckpoints.Current, _ checkpoints: ReplayCheckpoints) async throws {
        if replay.state == .running {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<settings.concurrency {
                    group.addTask(name: "replay-\(number)") { try await workOnBatches(of: replay, checkpoints) }
                }
                try await group.waitForAll()
            }
        }
        try await ledger.replayPool.withConnection { lease in
            guard try await checkpoints.lock("end", of: replay.id, &lease) else { return }
            let result: Result<Void, any Error>
            do {
                let end = ReplayCommit(ledger: ledger, checkpoints: checkpoints, settings: settings, logger: logger)
                result = .success(try await end.advance(replay.id, &lease))
            } catch {
                result = .failure(error)
            }
            try await checkpoints.unlock("end", of: replay.id, &lease, after: result)
        }
    }

    private func workOnBatches(of replay: ReplayCheckpoints.Current, _ checkpoints: ReplayCheckpoints) async throws {
        try await ledger.replayPool.withConnection { lease in
            for batch in try await checkpoints.openBatches(of: replay.id) {
                guard try await checkpoints.lock("\(batch)", of: replay.id, &lease) else { continue }
                let result: Result<Void, any Error>
                do {
                    // Somebody may have ended it between the look and the lock.
                    let jobs = try await checkpoints.openJobs(of: replay.id, batch: batch)
                    if !jobs.isEmpty {
                        let work = ReplayBatch(
                            ledger: ledger, checkpoints: checkpoints, settings: settings, logger: logger, memory: memory
                        )
                        try await work.run(batch, jobs, of: replay)
                    }
                    result = .success(())
                } catch {
                    result = .failure(error)
                }
                try await checkpoints.unlock("\(batch)", of: replay.id, &lease, after: result)
            }
        }
    }

    /// What may pass by itself is tried again when the bell rings, a number of times; what will not ends the replay, and
    /// what it has built is cleared away.
    private func recordFailure(
        _ error: any Error, of replay: ReplayCheckpoints.Current, _ checkpoints: ReplayCheckpoints
    ) async throws {
        if Task.isCancelled || error is ReplayCheckpoints.Interrupted { return }
        let isTriedAgain = Self.isTransient(error) && failures.note(replay.id) < settings.failuresMax
        logger.error(
            "a replay has failed\(isTriedAgain ? "; trying again later" : "")",
            metadata: ["replay.id": "\(replay.id)", "error": "\(String(reflecting: error))"])
        guard !isTriedAgain else { return }
        if try await checkpoints.fail(replay.id, "\(error)") { ledger.replayBell.ring() }
    }

    /// Whether it may pass by itself. Everything that a replay does may be done again, so it does not matter whether what
    /// was asked last has been done.
    static func isTransient(_ error: any Error) -> Bool {
        switch error {
        case let error as PQError:
            // 22012 is what a step answers that has found its checkpoint moved: somebody else works on the same batch.
            error.isRetrySafe || error.isOutcomeUnknown || error.sqlState?.rawValue == "22012"
        case let error as StoreError: error.retryAfter != nil || error.code == .outcomeUnknown
        default: false
        }
    }

    /// How often replays have failed in a row, in this process.
    private final class Failures: Sendable {
        private let counts = Mutex<[JobID: Int]>([:])

        /// - Returns: How often this one has failed by now.
        func note(_ replay: JobID) -> Int {
            counts.withLock { counts in
                counts[replay, default: 0] += 1
                return counts[replay] ?? 0
            }
        }

        func forget(_ replay: JobID) { _ = counts.withLock { $0.removeValue(forKey: replay) } }
    }
}

extension Replay.State {
    /// How the job ends that tells how far the replay is.
    var outcome: JobOutcome {
        switch self {
        case .canceling, .canceled: .canceled
        case .failed: .failed
        case .running, .applied, .reverting, .done, .reverted: .completed
        }
    }
}

/// How replays are worked on. Every limit is here, with its reason.
public struct ReplaySettings: Sendable {
    /// How many batches one process works on at the same time: the events of one are folded while PostgreSQL reads those
    /// of the other.
    public var concurrency = 2
    /// How often a process looks whether another has begun a replay.
    public var lookInterval: Duration = .seconds(5)
    /// A job of more events is read in one piece and folded in memory; those of fewer are folded many at a time.
    public var smallJobEventsMax: Int64 = 2_000
    /// What is folded in memory of one batch may take so much there.
    public var bytesInMemoryMax = 32 << 20
    /// A job that takes more is folded while no other one of that size is, in the same process: so that it stays below
    /// 250 MB whatever is replayed. One that takes more than this, some 150,000 executions, is stored part by part, and
    /// compared where it is stored.
    public var bytesOfLargeJobMax = 112 << 20
    /// Parts of projections that are sent to be stored in one piece, some 1.3 kB each.
    public var partsPerStatementMax = 10_000
    /// Events of jobs that are folded in memory and compared together: enough that a few round trips do not matter.
    public var eventsPerCheckMax: Int64 = 100_000
    /// How many small jobs are folded at the same time.
    public var jobsPerStepMax = 500
    /// How many jobs are compared in one transaction, in which their live snapshots stand still.
    public var jobsPerComparisonMax = 200
    /// Events of one job folded in memory before what they changed is stored.
    public var eventsPerStoreMax = 500_000
    /// Changed parts of one job kept in memory before they are stored, some 1.3 kB each.
    public var changesPerStoreMax = 50_000
    /// Executions of one job kept in memory. A job of more goes on in small steps, which load what they need.
    public var executionsInMemoryMax = 100_000
    /// How often it is tried to catch up with the live projections and to take their place.
    public var switchAttemptsMax = 10
    /// How often in a row a replay may fail, by what may pass by itself, before it is given up.
    public var failuresMax = 20

    public init() {}
}
