internal import AsyncPrimitives
internal import Ledger
public import LedgerStore
public import Logging
internal import PQ
public import ServiceLifecycle
internal import Synchronization

/// A service that executes requested replays.
///
/// Any number of runners in any number of processes share a replay. The database contains the remaining and the
/// finished work. A batch belongs to the process that holds its advisory lock, which PostgreSQL releases when that
/// process dies. A runner may therefore be killed at any moment: another one, or the next one, continues from the state
/// in the database.
public struct ReplayRunner: Service {
    private let ledger: PostgresLedger
    private let settings: ReplaySettings
    private let logger: Logger
    private let failures = Failures()
    private let largeJobLock = LargeJobLock()

    /// Creates a runner for this ledger, which must be running itself.
    public init(ledger: PostgresLedger, settings: ReplaySettings = ReplaySettings(), logger: Logger) {
        self.ledger = ledger
        self.settings = settings
        self.logger = logger
    }

    /// Runs until the task is cancelled or the service group shuts down.
    ///
    /// Work in progress is resumed later.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            await ledger.replaySignal.listen(every: settings.lookInterval) { await workUntilIdle() }
        }
    }

    /// Works on the replay in progress, if there is one.
    private func workUntilIdle() async {
        let checkpoints = ReplayCheckpoints(pool: ledger.replayPool)
        do {
            guard let replay = try await checkpoints.current() else {
                // If two processes report the same end, the second report changes nothing.
                for ended in try await checkpoints.unreported() {
                    try await ReplayReporter(ledger: ledger, logger: logger).finishReplay(ended.id, ended.state.outcome)
                }
                return
            }
            do {
                try await work(on: replay, checkpoints)
                failures.reset(replay.id)
            } catch {
                try await recordFailure(error, of: replay, checkpoints)
            }
        } catch {
            // The database itself failed; the next signal starts another attempt.
            if !Task.isCancelled {
                logger.warning("cannot read replays", metadata: ["error": "\(String(reflecting: error))"])
            }
        }
    }

    private func work(on replay: ReplayCheckpoints.Record, _ checkpoints: ReplayCheckpoints) async throws {
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
                let commit = ReplayCompletion(
                    ledger: ledger, checkpoints: checkpoints, settings: settings, logger: logger)
                result = .success(try await commit.advance(replay.id, &lease))
            } catch {
                result = .failure(error)
            }
            try await checkpoints.unlock("end", of: replay.id, &lease, after: result)
        }
    }

    private func workOnBatches(of replay: ReplayCheckpoints.Record, _ checkpoints: ReplayCheckpoints) async throws {
        try await ledger.replayPool.withConnection { lease in
            for batch in try await checkpoints.openBatches(of: replay.id) {
                guard try await checkpoints.lock("\(batch)", of: replay.id, &lease) else { continue }
                let result: Result<Void, any Error>
                do {
                    // Another process may have finished the batch between the query and the lock.
                    let jobs = try await checkpoints.openJobs(of: replay.id, batch: batch)
                    if !jobs.isEmpty {
                        let work = ReplayBatch(
                            ledger: ledger, checkpoints: checkpoints, settings: settings, logger: logger,
                            largeJobLock: largeJobLock
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

    /// Records a failure, and ends the replay if a retry cannot help.
    ///
    /// A transient failure is retried at the next signal, a limited number of times. Otherwise the replay ends, and the
    /// projections that it has built are deleted.
    private func recordFailure(
        _ error: any Error, of replay: ReplayCheckpoints.Record, _ checkpoints: ReplayCheckpoints
    ) async throws {
        if Task.isCancelled || error is ReplayCheckpoints.Interrupted { return }
        let willRetry = Self.isTransient(error) && failures.increment(replay.id) < settings.failuresMax
        logger.error(
            "a replay has failed\(willRetry ? "; trying again later" : "")",
            metadata: ["replay.id": "\(replay.id)", "error": "\(String(reflecting: error))"])
        guard !willRetry else { return }
        if try await checkpoints.fail(replay.id, "\(error)") { ledger.replaySignal.signal() }
    }

    /// Returns whether a failure may disappear by itself.
    ///
    /// Everything that a replay does may be repeated, so it does not matter whether the failed operation took effect.
    static func isTransient(_ error: any Error) -> Bool {
        switch error {
        case let error as PQError:
            // A step finds that its checkpoint has moved if another process works on the same batch.
            error.isRetrySafe || error.isOutcomeUnknown || error.sqlState == .staleWrite
        case let error as StoreError: error.retryAfter != nil || error.code == .outcomeUnknown
        default: false
        }
    }

    /// The number of consecutive failures of each replay, in this process.
    private final class Failures: Sendable {
        private let counts = Mutex<[JobID: Int]>([:])

        /// Counts a failure.
        ///
        /// - Returns: The number of failures of this replay.
        func increment(_ replay: JobID) -> Int {
            counts.withLock { counts in
                counts[replay, default: 0] += 1
                return counts[replay] ?? 0
            }
        }

        func reset(_ replay: JobID) { _ = counts.withLock { $0.removeValue(forKey: replay) } }
    }
}

extension Replay.State {
    /// The outcome of the job that reports the replay's progress.
    var outcome: JobOutcome {
        switch self {
        case .canceling, .canceled: .canceled
        case .failed: .failed
        case .running, .applied, .reverting, .done, .reverted: .completed
        }
    }
}
