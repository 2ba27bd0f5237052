internal import Synchronization

/// An append that waits or is in flight, with its caller.
///
/// The caller gets one result: that of its group, or an error if a time limit passes first.
final class PendingAppend: Sendable {
    let request: AppendRequest
    let arrivedAt: ContinuousClock.Instant
    private let caller: Mutex<(@Sendable (AppendResult) -> Void)?>

    init(
        _ request: AppendRequest, arrivedAt: ContinuousClock.Instant,
        whenDone: @escaping @Sendable (AppendResult) -> Void
    ) {
        self.request = request
        self.arrivedAt = arrivedAt
        caller = Mutex(whenDone)
    }

    /// Passes a result to the caller, unless the caller has one already.
    ///
    /// - Returns: Whether the result was passed.
    @discardableResult
    func finish(_ result: AppendResult) -> Bool {
        guard let caller = caller.withLock({ $0.take() }) else { return false }
        caller(result)
        return true
    }

    /// Whether the caller has a result.
    var isFinished: Bool { caller.withLock { $0 == nil } }
}
