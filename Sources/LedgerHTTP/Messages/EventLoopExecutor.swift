internal import NIOCore
internal import NIOPosix

/// Runs tasks on the threads that serve their sockets.
///
/// A request is read, answered and written without a change of threads, which would cost more than most answers do: a
/// task that is resumed on an event loop's thread goes on there, and one that is resumed elsewhere goes to one of them.
///
/// Nothing that computes for long may run here: ``elsewhere(_:)`` is for that.
final class EventLoopExecutor: TaskExecutor {
    private let group: MultiThreadedEventLoopGroup

    init(_ group: MultiThreadedEventLoopGroup) {
        self.group = group
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let loop = MultiThreadedEventLoopGroup.currentEventLoop ?? group.next()
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Runs what computes for long on the threads that are there for it.
    static func elsewhere<R: Sendable, Failure: Error>(
        _ body: @Sendable () throws(Failure) -> R
    ) async throws(Failure) -> R {
        let result: Result<R, Failure> = await withTaskExecutorPreference(globalConcurrentExecutor) {
            do throws(Failure) { return .success(try body()) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
