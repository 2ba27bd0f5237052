internal import Synchronization

/// An append that waits to be written or is being written, with its caller.
///
/// The caller gets one result: of the group that wrote it, or of its time limit, whichever comes first.
final class PendingAppend: Sendable {
    let request: AppendRequest
    let arrivedAt: ContinuousClock.Instant
    private let caller: Mutex<(@Sendable (AppendResult) -> Void)?>
    /// Whether it was taken out of the queue: then it must not be written any more. Set under the lock of the queues.
    private let withdrawn = Atomic(false)

    init(
        _ request: AppendRequest, arrivedAt: ContinuousClock.Instant,
        whenDone: @escaping @Sendable (AppendResult) -> Void
    ) {
        self.request = request
        self.arrivedAt = arrivedAt
        caller = Mutex(whenDone)
    }

    /// Gives the caller this result, unless it has one.
    ///
    /// - Returns: Whether it had none.
    @discardableResult
    func finish(_ result: AppendResult) -> Bool {
        guard let caller = caller.withLock({ $0.take() }) else { return false }
        caller(result)
        return true
    }

    /// Whether the caller has a result.
    var isFinished: Bool { caller.withLock { $0 == nil } }

    var isWithdrawn: Bool { withdrawn.load(ordering: .relaxed) }

    func withdraw() { withdrawn.store(true, ordering: .relaxed) }
}
