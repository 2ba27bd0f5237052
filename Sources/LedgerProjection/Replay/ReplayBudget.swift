internal import Synchronization

/// The permission to fold a large job in memory, one at a time in each process.
final class LargeJobLock: Sendable {
    private static let pollInterval: Duration = .milliseconds(100)
    private let isTaken = Mutex(false)

    /// Runs the closure while no other large job is folded.
    ///
    /// Callers poll. A waiting caller would otherwise only compete for the processor.
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
