internal import NIOCore
internal import NIOPosix

/// Runs what may compute for long on threads of its own.
///
/// On the threads of the standard executor it would keep waiting what must always get its turn: signals, timers, the
/// projection.
final class ComputeExecutor: TaskExecutor {
    static let shared = ComputeExecutor()

    /// As many threads as there are cores, which live as long as the process.
    private let threads = NIOThreadPool(numberOfThreads: System.coreCount)

    private init() {
        threads.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        threads.submit { _ in unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Runs a closure there and waits for its result.
    static func run<R: Sendable, Failure: Error>(
        _ body: @Sendable () throws(Failure) -> R
    ) async throws(Failure) -> R {
        let result: Result<R, Failure> = await withTaskExecutorPreference(shared) {
            do throws(Failure) { return .success(try body()) } catch { return .failure(error) }
        }
        return try result.get()
    }
}
