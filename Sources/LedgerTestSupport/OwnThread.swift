internal import Dispatch
public import Testing

/// A trait that runs long computations on a thread outside of Swift's pool.
///
/// Swift's pool has as many threads as there are processors. A test that computes for seconds without a pause would
/// block one of them and delay every test that waits for something.
public struct OwnThread: SuiteTrait, TestTrait, TestScoping {
    @concurrent public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(OneThread.shared, operation: function)
    }
}

extension Trait where Self == OwnThread {
    /// A trait for suites and tests that compute for seconds; see ``OwnThread``.
    public static var ownThread: OwnThread { OwnThread() }
}

/// An executor with one thread for all tests that compute.
///
/// With one thread, the system shares a processor between it and the tests that wait for PostgreSQL.
private final class OneThread: TaskExecutor {
    static let shared = OneThread()

    private let queue = DispatchQueue(label: "tests that compute")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
