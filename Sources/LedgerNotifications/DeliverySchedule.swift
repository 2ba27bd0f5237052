internal import Ledger
internal import LedgerStore

/// Decides about a delivery after an attempt.
enum DeliverySchedule {
    /// The outcome of an attempt.
    enum Outcome: Hashable, Sendable {
        /// The receiver responded.
        case response(status: Int, retryAfter: Duration?)
        /// There was no response, for this reason.
        case noResponse(String)
    }

    /// The pauses after the first attempts; the last one repeats.
    ///
    /// They are those of Standard Webhooks, so that a receiver that restarts misses little, and one that is down for
    /// hours is not flooded.
    private static let pauses: [Duration] = [
        .seconds(5), .seconds(30), .seconds(120), .seconds(300), .seconds(900), .seconds(1_800), .seconds(3_600),
        .seconds(7_200), .seconds(14_400), .seconds(28_800),
    ]

    /// The time after which a delivery is given up.
    static let limit: Duration = .seconds(24 * 3_600)

    /// The share by which a pause varies.
    ///
    /// Deliveries that failed together are therefore not repeated together.
    private static let jitter = 0.1

    /// Returns the result of an attempt.
    ///
    /// - Parameters:
    ///   - delivery: The delivery, with this attempt counted.
    ///   - random: A number from 0 to 1, which varies the pause.
    static func result(
        of outcome: Outcome, _ delivery: Delivery, now: Timestamp, random: Double
    ) -> DeliveryStore.Result {
        var result = DeliveryStore.Result(state: .failed)
        var least: Duration = .zero
        switch outcome {
        case .response(let status, let retryAfter):
            result.responseStatus = status
            if (200..<300).contains(status) {
                result.state = .delivered
                return result
            }
            result.error = explanation(of: status)
            if status == 410 {
                result.isGone = true
                return result
            }
            least = retryAfter ?? .zero
        case .noResponse(let reason):
            result.error = reason
        }
        // A person waits for the result of a test.
        guard delivery.cause.kind != .test else { return result }
        let usual = pauses[min(max(delivery.attempts, 1), pauses.count) - 1]
        let pause = max(usual * (1 + jitter * (2 * random - 1)), min(least, pauses[pauses.count - 1]))
        let age = Duration.microseconds(now.microseconds - delivery.createdAt.microseconds)
        guard age + pause <= limit else { return result }
        result.state = .pending
        result.pause = pause
        return result
    }

    private static func explanation(of status: Int) -> String {
        switch status {
        case 300..<400: "the receiver responded with \(status); redirects are not followed"
        case 410: "the receiver responded with 410: it wants no more notifications"
        default: "the receiver responded with \(status)"
        }
    }
}
