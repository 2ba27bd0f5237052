internal import Synchronization

/// A clock that stands still unless the test moves it.
public final class StoppedClock: Sendable {
    private let instant = Mutex(ContinuousClock.now)

    public init() {}

    public var now: ContinuousClock.Instant { instant.withLock { $0 } }

    /// Moves the clock: forwards, or backwards by a negative duration.
    public func move(by duration: Duration) { instant.withLock { $0 += duration } }
}
