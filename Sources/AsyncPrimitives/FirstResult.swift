internal import Synchronization

/// The first of several results; later ones are ignored.
///
/// It ends a wait for work that cannot be stopped: the work, a timer and a cancellation each offer a result.
public final class FirstResult<Success: Sendable, Failure: Error>: Sendable {
    private typealias Waiting = CheckedContinuation<Result<Success, Failure>, Never>

    private enum State {
        case running
        case awaited(Waiting)
        /// Ended before it was awaited.
        case ended(Result<Success, Failure>)
        case delivered
    }

    private let state = Mutex(State.running)

    /// Creates a result that is not known yet.
    public init() {}

    /// Ends the wait with this result, unless it has ended.
    ///
    /// May be called on any thread.
    public func end(_ result: Result<Success, Failure>) {
        let waiting: Waiting? = state.withLock { state in
            switch state {
            case .running: state = .ended(result)
            case .awaited(let continuation):
                state = .delivered
                return continuation
            case .ended, .delivered: break
            }
            return nil
        }
        waiting?.resume(returning: result)
    }

    /// Waits for the first result.
    ///
    /// It may be called once. It ignores the task's cancellation: call ``end(_:)`` from a cancellation handler.
    public func wait() async -> Result<Success, Failure> {
        await withCheckedContinuation { continuation in
            let early: Result<Success, Failure>? = state.withLock { state in
                guard case .ended(let result) = state else {
                    state = .awaited(continuation)
                    return nil
                }
                state = .delivered
                return result
            }
            if let early { continuation.resume(returning: early) }
        }
    }
}
