internal import NIOCore
internal import Synchronization

/// A time within which something is answered, whatever becomes of the work.
struct TimeBound: Sendable {
    /// How long it may take.
    let limit: Duration
    /// Whether the work is cancelled when the time is over: right for reading, wrong for what may have been recorded.
    let cancelsWork: Bool

    /// The time is over.
    struct Exceeded: Error {}

    /// Runs the work as a task of its own and waits for it, at most as long as this bound allows.
    ///
    /// Work that ignores its cancellation goes on alone; nobody waits for it.
    ///
    /// - Parameters:
    ///   - executor: The threads to run on.
    ///   - connection: Cancels the work if the client of this connection goes.
    /// - Throws: ``Exceeded`` after the time; `CancellationError` if the caller is cancelled first, or the client has gone.
    func run<R: Sendable>(
        on executor: any TaskExecutor, for connection: ConnectionRegistry.Connection? = nil,
        _ work: @escaping @Sendable () async throws -> R
    ) async throws -> R {
        let race = Race<R>()
        let task = Task(executorPreference: executor) {
            let result: Result<R, any Error>
            do { result = .success(try await work()) } catch { result = .failure(error) }
            race.end(result)
        }
        let cancelsWork = cancelsWork
        let timer = EventLoopExecutor.group.any().scheduleTask(in: TimeAmount(limit)) {
            race.end(.failure(Exceeded()))
            if cancelsWork { task.cancel() }
        }
        let stop: @Sendable () -> Void = {
            if cancelsWork { task.cancel() }
            race.end(.failure(CancellationError()))
        }
        let number = connection?.whenGone(stop)
        defer {
            timer.cancel()
            if let number { connection?.forget(number) }
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { race.await($0) }
        } onCancel: {
            stop()
        }
    }

    /// The first of several results counts.
    private final class Race<R: Sendable>: Sendable {
        private enum State {
            case running
            case awaited(CheckedContinuation<R, any Error>)
            case ended(Result<R, any Error>)
            case over
        }

        private let state = Mutex(State.running)

        func end(_ result: Result<R, any Error>) {
            let continuation: CheckedContinuation<R, any Error>? = state.withLock { state in
                switch state {
                case .running: state = .ended(result)
                case .awaited(let continuation):
                    state = .over
                    return continuation
                case .ended, .over: break
                }
                return nil
            }
            continuation?.resume(with: result)
        }

        func await(_ continuation: CheckedContinuation<R, any Error>) {
            let result: Result<R, any Error>? = state.withLock { state in
                switch state {
                case .ended(let result):
                    state = .over
                    return result
                default:
                    state = .awaited(continuation)
                    return nil
                }
            }
            if let result { continuation.resume(with: result) }
        }
    }
}
