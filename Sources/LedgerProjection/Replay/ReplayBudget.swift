internal import Synchronization

/// Who may fold a job in memory that takes much of it: one at a time in each process.
final class ReplayBudget: Sendable {
    private static let lookInterval: Duration = .milliseconds(100)
    private let isTaken = Mutex(false)

    /// Runs the closure when it is its turn. Who waits is somebody who would only wait for the processor otherwise.
    func withLargeJob<R>(_ body: () async throws -> R) async throws -> R {
        while !take() { try await Task.sleep(for: Self.lookInterval) }
        defer { isTaken.withLock { $0 = false } }
        return try await body()
    }

    private func take() -> Bool {
        isTaken.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
    }
}
