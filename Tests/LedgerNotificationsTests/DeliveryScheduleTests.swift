import Ledger
import LedgerStore
import Testing

@testable import LedgerNotifications

@Suite("The schedule of deliveries")
struct DeliveryScheduleTests {
    private static let created = Timestamp(microseconds: 1_800_000_000_000_000)

    private func delivery(attempts: Int, kind: NotificationKind = .finished) throws -> Delivery {
        Delivery(
            id: "msg_1", subscription: try #require(Subscription.ID("aaaaaaaaaaaa")),
            cause: NotificationCause(job: nil, kind: kind, origin: .event(2), at: Self.created),
            createdAt: Self.created, state: .pending, attempts: attempts, nextAt: Self.created, attemptedAt: nil,
            endedAt: nil, responseStatus: nil, error: nil)
    }

    private func result(
        _ outcome: DeliverySchedule.Outcome, attempts: Int = 1, kind: NotificationKind = .finished,
        after age: Int64 = 0, random: Double = 0.5
    ) throws -> DeliveryStore.Result {
        DeliverySchedule.result(
            of: outcome, try delivery(attempts: attempts, kind: kind),
            now: Timestamp(microseconds: Self.created.microseconds + age * 1_000_000), random: random)
    }

    @Test("every failed attempt is repeated for nearly a day, at growing intervals")
    func backOff() throws {
        var (age, attempts): (Int64, Int) = (0, 0)
        var pauses: [Int64] = []
        while true {
            attempts += 1
            let result = try result(.noResponse("down"), attempts: attempts, after: age)
            guard result.state == .pending else {
                #expect(result.state == .failed && result.error == "down" && !result.isGone)
                break
            }
            pauses.append(result.pause.components.seconds)
            age += result.pause.components.seconds
        }
        #expect(pauses == pauses.sorted() && pauses.first == 5)
        #expect(attempts == 12 && age > 23 * 3_600 && age <= 24 * 3_600)
    }

    @Test("pauses vary by a tenth")
    func jitter() throws {
        let pauses = try [0.0, 1.0].map { try result(.noResponse("down"), attempts: 4, random: $0).pause }
        #expect(pauses == [.seconds(270), .seconds(330)])
    }

    @Test("each status has its consequence")
    func statuses() throws {
        for status in [200, 204, 299] {
            #expect(try result(.response(status: status, retryAfter: nil)).state == .delivered)
        }
        for status in [301, 307, 400, 404, 429, 500, 503] {
            let result = try result(.response(status: status, retryAfter: nil))
            #expect(result.state == .pending && result.responseStatus == status, "\(status)")
        }
        let gone = try result(.response(status: 410, retryAfter: nil))
        #expect(gone.state == .failed && gone.isGone)
    }

    @Test("Retry-After lengthens a pause, within a limit")
    func retryAfter() throws {
        func pause(_ seconds: Int64) throws -> Duration {
            try result(.response(status: 503, retryAfter: .seconds(seconds))).pause
        }
        #expect(try pause(1) == .seconds(5))
        #expect(try pause(600) == .seconds(600))
        #expect(try pause(86_400) == .seconds(28_800))
    }

    @Test("a test is not repeated")
    func tests() throws {
        #expect(try result(.response(status: 500, retryAfter: nil), kind: .test).state == .failed)
    }
}
