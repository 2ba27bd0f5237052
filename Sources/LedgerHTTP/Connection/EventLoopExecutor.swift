internal import NIOCore
internal import NIOPosix

/// Runs tasks on the threads that serve their sockets.
///
/// A request is read, answered and written without a change of threads, which would cost more than most answers do: a
/// task that is resumed on an event loop's thread goes on there, and one that is resumed elsewhere goes to one of them.
///
/// Nothing that computes for long may run here: ``ComputeExecutor`` is for that.
final class EventLoopExecutor: TaskExecutor {
    /// The threads that serve the sockets of all servers in this process, which live as long as it does: half as many as
    /// there are cores, since the database's connections have a thread of their own, and PostgreSQL often needs its share
    /// of the same machine.
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, System.coreCount / 2))
    static let shared = EventLoopExecutor()

    private init() {}

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let loop = MultiThreadedEventLoopGroup.currentEventLoop ?? Self.group.next()
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Waits until the threads have done what they were given up to now.
    ///
    /// - Returns: How long that took.
    static func catchUp() async -> Duration {
        let start = ContinuousClock.now
        for loop in group.makeIterator() {
            await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
        }
        return start.duration(to: .now)
    }
}
