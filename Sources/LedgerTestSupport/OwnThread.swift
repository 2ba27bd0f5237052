internal import Dispatch
public import Testing

/// Runs what computes for seconds without a pause on a thread that no other test uses. On the threads of Swift's pool, of
/// which there are as many as processors, every test that waits for something would wait for it too.
public struct OwnThread: SuiteTrait, TestTrait, TestScoping {
    @concurrent public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(OneThread.shared, operation: function)
    }
}

extension Trait where Self == OwnThread {
    /// For suites and tests that compute for seconds: see ``OwnThread``.
    public static var ownThread: OwnThread { OwnThread() }
}

/// One thread for all of them, so that the system shares a processor between it and what waits for PostgreSQL.
private final class OneThread: TaskExecutor {
    static let shared = OneThread()

    private let queue = DispatchQueue(label: "tests that compute")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
