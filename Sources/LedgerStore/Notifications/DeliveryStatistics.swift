package import Ledger
internal import Synchronization

/// Counts the attempts of this process to deliver notifications.
package final class DeliveryStatistics: Sendable {
    private let deliveredCount = Atomic<UInt64>(0)
    private let failedCount = Atomic<UInt64>(0)
    private let givenUpCount = Atomic<UInt64>(0)

    package init() {}

    /// Counts the result of an attempt.
    ///
    /// A test that fails is not given up: the caller who waits for it learns of it.
    package func count(_ result: DeliveryStore.Result, of kind: NotificationKind) {
        switch result.state {
        case .delivered: deliveredCount.add(1, ordering: .relaxed)
        case .pending: failedCount.add(1, ordering: .relaxed)
        case .failed:
            failedCount.add(1, ordering: .relaxed)
            if kind != .test { givenUpCount.add(1, ordering: .relaxed) }
        }
    }

    var delivered: UInt64 { deliveredCount.load(ordering: .relaxed) }
    var failed: UInt64 { failedCount.load(ordering: .relaxed) }
    var givenUp: UInt64 { givenUpCount.load(ordering: .relaxed) }
}
