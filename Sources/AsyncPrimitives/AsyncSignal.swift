internal import Synchronization

/// A signal for one waiting task.
///
/// A signal without a waiter stays set, and the next wait returns at once. Several signals before a wait count as one.
public final class AsyncSignal: Sendable {
    private struct State {
        var isSignaled = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Creates a signal that is not set.
    public init() {}

    /// Whether a task waits, so that all earlier signals have been acted upon.
    package var isAwaited: Bool { state.withLock { $0.waiter != nil } }

    /// Wakes the waiting task, or the next one that waits.
    public func signal() {
        state.withLock { state in
            guard let waiter = state.waiter.take() else {
                state.isSignaled = true
                return nil as CheckedContinuation<Void, Never>?
            }
            return waiter
        }?.resume()
    }

    /// Waits for a signal, until `moment`, or for the task's cancellation.
    ///
    /// Only one task may wait at a time.
    public func wait(until moment: ContinuousClock.Instant? = nil) async {
        let timer = moment.map { moment in
            Task(name: "signal-timer") { [self] in
                do { try await Task.sleep(until: moment, clock: .continuous) } catch { return }
                signal()
            }
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isSignaled = state.withLock { state in
                    guard state.isSignaled || Task.isCancelled else {
                        state.waiter = continuation
                        return false
                    }
                    state.isSignaled = false
                    return true
                }
                if isSignaled { continuation.resume() }
            }
        } onCancel: {
            signal()
        }
        timer?.cancel()
    }

    /// Calls the closure at once, after every signal, and at intervals if one is given.
    ///
    /// It returns when the task is cancelled.
    public func listen(every interval: Duration? = nil, _ body: () async -> Void) async {
        while !Task.isCancelled {
            await body()
            await wait(until: interval.map { .now + $0 })
        }
    }
}
