extension Duration {
    /// How long a test waits for what comes soon unless something is broken: long, since a small machine may be busy
    /// with many other tests.
    public static let patience: Duration = .seconds(120)
}

/// What ``eventually(within:_:)`` throws when it has waited for nothing.
public struct NeverHappened: Error {
    /// How long it has waited.
    public let limit: Duration
}

/// Waits until something has happened in another process or task; for what offers nothing better to wait for.
public func eventually(within limit: Duration = .patience, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw NeverHappened(limit: limit) }
        try await Task.sleep(for: .milliseconds(5))
    }
}
