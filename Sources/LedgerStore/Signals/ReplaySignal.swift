/// Wakes who works on replays when there may be something to do: when it is rung, and now and then in any case, since
/// another process may have begun a replay.
public final class ReplaySignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        // Rung twice, it need be heard only once.
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// There is something to do.
    public func ring() {
        continuation.yield()
    }

    /// Calls the closure at once, and then whenever it is rung or so long has passed, until the task is cancelled. For
    /// one listener.
    public func listen(every interval: Duration, _ body: () async -> Void) async {
        let timer = Task(name: "replay-bell") {
            while !Task.isCancelled {
                ring()
                do { try await Task.sleep(for: interval) } catch { return }
            }
        }
        defer { timer.cancel() }
        for await _ in stream { await body() }
    }
}
