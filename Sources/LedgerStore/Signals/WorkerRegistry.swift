internal import Synchronization

/// What the projection workers of this process say of themselves, for readiness and metrics.
final class WorkerRegistry: Sendable {
    struct State: Sendable {
        var isRunning = false
        var lastStepAt: ContinuousClock.Instant?
        var foldedEvents: UInt64 = 0
        var steps: UInt64 = 0
        var failures: UInt64 = 0
        var lastError: String?
    }

    private let state = Mutex(State())

    var current: State { state.withLock { $0 } }

    func update(_ change: (inout sending State) -> Void) {
        state.withLock { change(&$0) }
    }
}

extension PostgresLedger {
    /// A projection worker of this process begins or ends.
    public func noteWorker(isRunning: Bool) {
        workers.update { $0.isRunning = isRunning }
    }

    /// A projection worker of this process has folded so many events in one step.
    public func noteStep(events: Int) {
        workers.update {
            $0.steps += 1
            $0.foldedEvents += UInt64(events)
            $0.lastStepAt = .now
            $0.lastError = nil
        }
    }

    /// A step of a projection worker of this process has failed.
    public func noteFailedStep(_ error: String) {
        workers.update {
            $0.failures += 1
            $0.lastError = error
        }
    }
}
