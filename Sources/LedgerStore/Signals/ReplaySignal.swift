/// A signal that wakes the replay runner, with a timer as a fallback.
///
/// The timer is needed because another process may have started a replay.
public final class ReplaySignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        // Two signals before the runner wakes count as one.
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Signals that there may be work.
    public func ring() {
        continuation.yield()
    }

    /// Calls the closure at once, then at every signal and at least once per interval.
    ///
    /// Returns when the task is cancelled. Supports one listener only.
    public func listen(every interval: Duration, _ body: () async -> Void) async {
        let timer = Task(name: "replay-timer") {
            while !Task.isCancelled {
                ring()
                do { try await Task.sleep(for: interval) } catch { return }
            }
        }
        defer { timer.cancel() }
        for await _ in stream { await body() }
    }
}
