extension Duration {
    /// The time after which a test gives up waiting.
    ///
    /// It is long, because a small machine may be busy with many other tests.
    public static let testTimeout: Duration = .seconds(120)
}

/// The error of ``eventually(within:_:)`` after its time limit.
public struct TimedOut: Error {
    /// The time limit.
    public let limit: Duration
}

/// Polls a condition until it is true.
///
/// Use it for events of another process or task that cannot be awaited directly.
public func eventually(within limit: Duration = .testTimeout, _ condition: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw TimedOut(limit: limit) }
        try await Task.sleep(for: .milliseconds(5))
    }
}
