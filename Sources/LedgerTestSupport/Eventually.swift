extension Duration {
    /// How long a test waits for what comes soon unless something is broken: long, since a small machine may be busy
    /// with many other tests.
    public static let testTimeout: Duration = .seconds(120)
}

/// What ``eventually(within:_:)`` throws when it has waited for nothing.
public struct TimedOut: Error {
    /// How long it has waited.
    public let limit: Duration
}

/// Waits until something has happened in another process or task; for what offers nothing better to wait for.
public func eventually(within limit: Duration = .testTimeout, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw TimedOut(limit: limit) }
        try await Task.sleep(for: .milliseconds(5))
    }
}
