/// What ``eventually(within:_:)`` throws when it has waited for nothing.
public struct NeverHappened: Error {
    /// How long it has waited.
    public let limit: Duration
}

/// Waits until something has happened in another process or task; for what offers nothing better to wait for.
public func eventually(within limit: Duration = .seconds(20), _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw NeverHappened(limit: limit) }
        try await Task.sleep(for: .milliseconds(5))
    }
}
