public import Ledger
internal import PQ
internal import Synchronization

/// The state of this process's projection worker, for readiness and metrics.
///
/// It is also written into the heartbeats.
final class WorkerStatistics: Sendable {
    struct State: Sendable {
        var isRunning = false
        var lastStepAt: Timestamp?
        var foldedEvents: UInt64 = 0
        var steps: UInt64 = 0
        var failures: UInt64 = 0
        /// The last failure, which remains after later successful steps.
        var lastFailure: LedgerStatus.Failure?
        /// Whether no step has succeeded since the last failure.
        var isFailing = false
    }

    private let state = Mutex(State())

    var current: State { state.withLock { $0 } }

    func update(_ change: (inout sending State) -> Void) {
        state.withLock { change(&$0) }
    }
}

extension PostgresLedger {
    /// Records that a projection worker of this process has started.
    public func workerStarted() async {
        workers.update { $0.isRunning = true }
        await heartbeats.publish(workers.current, pendingJobs: projectionQueue.pendingJobCount)
    }

    /// Records that a projection worker of this process has stopped.
    public func workerStopped() async {
        workers.update { $0.isRunning = false }
        await heartbeats.delete()
    }

    /// Records a completed step and the number of events that it folded.
    public func stepCompleted(events: Int) {
        workers.update {
            $0.steps += 1
            $0.foldedEvents += UInt64(events)
            $0.lastStepAt = .now
            $0.isFailing = false
        }
    }

    /// Records a failed step of a projection worker of this process.
    ///
    /// - Parameter jobs: The jobs that it could not fold. Empty if the query for pending jobs failed.
    public func stepFailed(of jobs: [JobID], _ error: any Error) async {
        let failure = LedgerStatus.Failure(
            at: .now, state: (error as? PQError)?.sqlState?.rawValue, message: String(describing: error))
        workers.update {
            $0.failures += 1
            $0.lastFailure = failure
            $0.isFailing = true
        }
        if !jobs.isEmpty { await heartbeats.recordStuck(jobs, failure) }
    }

    /// Records that jobs that could not be folded have moved.
    public func clearStuck(_ jobs: [JobID]) async {
        if !jobs.isEmpty { await heartbeats.clearStuck(jobs) }
    }
}
