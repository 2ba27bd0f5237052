internal import NIOCore
internal import NIOPosix

/// An executor that runs tasks on the threads that serve the sockets.
///
/// A request is read and its response is made and written on one thread. A change of threads would cost more than most
/// responses do. A task that is resumed on an event loop's thread continues there. A task that is resumed elsewhere
/// moves to one of these threads.
///
/// Long computations must not run here; they run on ``ComputeExecutor``.
final class EventLoopExecutor: TaskExecutor {
    /// The threads that serve the sockets of all servers in this process.
    ///
    /// They live as long as the process. There are half as many as cores, because the database connections have a
    /// separate thread, and PostgreSQL often runs on the same machine.
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, System.coreCount / 2))
    static let shared = EventLoopExecutor()

    private init() {}

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let loop = MultiThreadedEventLoopGroup.currentEventLoop ?? Self.group.next()
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Waits until the threads have run all work that was submitted before.
    ///
    /// - Returns: The time that this took.
    static func catchUp() async -> Duration {
        let start = ContinuousClock.now
        for loop in group.makeIterator() {
            await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
        }
        return start.duration(to: .now)
    }
}
