internal import AsyncPrimitives
internal import NIOCore

/// A time limit for a response, which holds even if the work continues.
struct TimeBound: Sendable {
    /// The maximum time.
    let limit: Duration
    /// Whether the work is cancelled when the time is over.
    ///
    /// This is right for reads, and wrong for work that may have been recorded.
    let cancelsWork: Bool

    /// The error of work that exceeds its time.
    struct Exceeded: Error {}

    /// Runs the work as a separate task and waits for it, at most for this time.
    ///
    /// Work that ignores its cancellation continues, but no caller waits for it.
    ///
    /// - Parameters:
    ///   - executor: The threads to run on.
    ///   - connection: The client's connection. The work is cancelled if the client disconnects.
    /// - Throws: ``Exceeded`` after the time; `CancellationError` if the caller is cancelled first, or the client has
    ///   disconnected.
    func run<R: Sendable>(
        on executor: any TaskExecutor, for connection: ConnectionRegistry.Connection? = nil,
        _ work: @escaping @Sendable () async throws -> R
    ) async throws -> R {
        let race = FirstResult<R, any Error>()
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
            try await race.wait().get()
        } onCancel: {
            stop()
        }
    }
}
