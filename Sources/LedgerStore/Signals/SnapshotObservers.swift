public import Ledger
internal import Synchronization

/// A hint that a snapshot has moved, in this process or in another.
public enum SnapshotHint: Hashable, Sendable {
    /// The job's snapshot has reached this sequence.
    case folded(JobID, sequence: EventSequence)
    /// Hints may have been lost: any snapshot may have moved.
    case missed
}

/// A subscription to snapshot changes, which ends when it is released.
public final class SnapshotSubscription: Sendable {
    private let end: @Sendable () -> Void

    /// Creates a subscription that calls this closure when it is released.
    public init(end: @escaping @Sendable () -> Void) {
        self.end = end
    }

    deinit { end() }
}

/// The observers of all snapshots.
package final class SnapshotObservers: Sendable {
    private struct State {
        var bodies: [Int: @Sendable (SnapshotHint) -> Void] = [:]
        var nextNumber = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Adds an observer. There is one per server in the process, usually one in all.
    package func add(_ body: @escaping @Sendable (SnapshotHint) -> Void) -> SnapshotSubscription {
        let number = state.withLock { state in
            state.nextNumber += 1
            state.bodies[state.nextNumber] = body
            return state.nextNumber
        }
        return SnapshotSubscription { [self] in state.withLock { $0.bodies[number] = nil } }
    }

    package func notify(_ hint: SnapshotHint) {
        for body in state.withLock({ Array($0.bodies.values) }) { body(hint) }
    }
}
