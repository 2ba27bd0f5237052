internal import NIOCore
internal import NIOPosix

/// An executor with its own threads for work that may compute for long.
///
/// On the threads of the standard executor such work would delay signals, timers and the projection.
final class ComputeExecutor: TaskExecutor {
    static let shared = ComputeExecutor()

    /// As many threads as there are cores. They live as long as the process.
    private let threads = NIOThreadPool(numberOfThreads: System.coreCount)

    private init() {
        threads.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        threads.submit { _ in unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Runs a closure on these threads and returns its result.
    static func run<R: Sendable, Failure: Error>(
        _ body: @Sendable () throws(Failure) -> R
    ) async throws(Failure) -> R {
        let result: Result<R, Failure> = await withTaskExecutorPreference(shared) {
            do throws(Failure) { return .success(try body()) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
