import Synchronization

/// Wakes one who waits. Rung while nobody waits, it wakes the next one at once; rung twice, it need be heard only once.
final class AsyncSignal: Sendable {
    private struct State {
        var isRung = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func signal() {
        state.withLock { state in
            guard let waiter = state.waiter.take() else {
                state.isRung = true
                return nil as CheckedContinuation<Void, Never>?
            }
            return waiter
        }?.resume()
    }

    /// Returns when it is rung, when the moment has come, or when the task is cancelled. For one waiter at a time.
    func wait(until moment: ContinuousClock.Instant?) async {
        let timer = moment.map { moment in
            Task(name: "bell") { [self] in
                do { try await Task.sleep(until: moment, clock: .continuous) } catch { return }
                signal()
            }
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isRung = state.withLock { state in
                    guard state.isRung || Task.isCancelled else {
                        state.waiter = continuation
                        return false
                    }
                    state.isRung = false
                    return true
                }
                if isRung { continuation.resume() }
            }
        } onCancel: {
            signal()
        }
        timer?.cancel()
    }
}
