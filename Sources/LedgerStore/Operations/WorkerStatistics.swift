internal import FoundationEssentials
public import Ledger
internal import PQ
internal import Synchronization

/// What the projection workers of this process say of themselves, for readiness, metrics and the board.
final class WorkerStatistics: Sendable {
    struct State: Sendable {
        var isRunning = false
        var lastStepAt: Timestamp?
        var foldedEvents: UInt64 = 0
        var steps: UInt64 = 0
        var failures: UInt64 = 0
        /// The last failure, also where steps have gone well since.
        var lastFailure: LedgerStatus.Failure?
        /// Whether no step has gone well since the last failure.
        var isFailing = false
    }

    private let state = Mutex(State())

    var current: State { state.withLock { $0 } }

    func update(_ change: (inout sending State) -> Void) {
        state.withLock { change(&$0) }
    }
}

extension PostgresLedger {
    /// A projection worker of this process begins.
    public func workerStarted() async {
        workers.update { $0.isRunning = true }
        await board.tell(workers.current, pendingJobs: signals.pendingJobCount)
    }

    /// A projection worker of this process ends.
    public func workerStopped() async {
        workers.update { $0.isRunning = false }
        await board.leave()
    }

    /// A projection worker of this process has folded so many events in one step.
    public func stepCompleted(events: Int) {
        workers.update {
            $0.steps += 1
            $0.foldedEvents += UInt64(events)
            $0.lastStepAt = .now
            $0.isFailing = false
        }
    }

    /// A step of a projection worker of this process has failed.
    ///
    /// - Parameter jobs: Those that it could not fold; none where it could not look for any.
    public func stepFailed(of jobs: [JobID], _ error: any Error) async {
        let failure = LedgerStatus.Failure(
            at: .now, state: (error as? PQError)?.sqlState?.rawValue, message: String(describing: error))
        workers.update {
            $0.failures += 1
            $0.lastFailure = failure
            $0.isFailing = true
        }
        if !jobs.isEmpty { await board.recordStuck(jobs, failure) }
    }

    /// Jobs that could not be folded before have moved on.
    public func clearStuck(_ jobs: [JobID]) async {
        if !jobs.isEmpty { await board.clearStuck(jobs) }
    }
}

extension Timestamp {
    /// This moment by the clock of this machine.
    static var now: Timestamp { Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)) }
}
