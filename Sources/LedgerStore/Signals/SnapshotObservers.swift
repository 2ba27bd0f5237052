public import Ledger
internal import Synchronization

/// What is heard of snapshots that move, in this process and in others.
public enum SnapshotHint: Hashable, Sendable {
    /// The job's snapshot has reached this sequence.
    case folded(JobID, sequence: Int64)
    /// Something may have been missed: any snapshot may have moved.
    case missed
}

/// Hears of snapshots that move for as long as it is kept.
public final class SnapshotSubscription: Sendable {
    private let end: @Sendable () -> Void

    /// A subscription that does this when it is let go.
    public init(end: @escaping @Sendable () -> Void) {
        self.end = end
    }

    deinit { end() }
}

/// Those who hear of every snapshot that moves.
final class SnapshotObservers: Sendable {
    private struct State {
        var bodies: [Int: @Sendable (SnapshotHint) -> Void] = [:]
        var nextNumber = 0
    }

    private let state = Mutex(State())

    /// Adds one. There are as many as there are servers in the process: one.
    func add(_ body: @escaping @Sendable (SnapshotHint) -> Void) -> SnapshotSubscription {
        let number = state.withLock { state in
            state.nextNumber += 1
            state.bodies[state.nextNumber] = body
            return state.nextNumber
        }
        return SnapshotSubscription { [self] in state.withLock { $0.bodies[number] = nil } }
    }

    func tell(_ hint: SnapshotHint) {
        for body in state.withLock({ Array($0.bodies.values) }) { body(hint) }
    }
}
