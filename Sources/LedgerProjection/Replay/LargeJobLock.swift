internal import Synchronization

/// A lock that lets one large job at a time be folded in memory.
///
/// It is shared by all workers of the process.
final class LargeJobLock: Sendable {
    private static let pollInterval: Duration = .milliseconds(100)
    private let isTaken = Mutex(false)

    /// Runs the closure while no other large job is folded; waiting callers poll.
    func withLargeJob<R>(_ body: () async throws -> R) async throws -> R {
        while !tryAcquire() { try await Task.sleep(for: Self.pollInterval) }
        defer { isTaken.withLock { $0 = false } }
        return try await body()
    }

    private func tryAcquire() -> Bool {
        isTaken.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
    }
}
