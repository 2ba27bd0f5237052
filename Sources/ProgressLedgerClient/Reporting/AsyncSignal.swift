import Synchronization

/// A signal for one waiting task.
///
/// A signal without a waiter stays set, and the next wait returns at once. Several signals before a wait count as one.
final class AsyncSignal: Sendable {
    private struct State {
        var isSignaled = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func signal() {
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
    func wait(until moment: ContinuousClock.Instant?) async {
        let timer = moment.map { moment in
            Task(name: "ledger-signal-timer") { [self] in
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
}
