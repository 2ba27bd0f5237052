import Foundation
import Ledger
import LedgerProjection
import LedgerStore
import LedgerTestSupport
import LedgerWire
import NIOHTTP1
import PQ
import Synchronization
import Testing

@testable import LedgerNotifications

@Suite("Sending notifications", .timeLimit(.minutes(5)))
struct NotificationSenderTests {
    /// Settings with short intervals, which permit receivers on this machine.
    private static func settings() throws -> NotificationSettings {
        var settings = NotificationSettings()
        settings.pollInterval = .milliseconds(100)
        settings.targets = try WebhookTargets(["localhost"])
        return settings
    }

    /// Runs the closure with a ledger, a worker and a sender on this database.
    private func withSender<R: Sendable>(
        on target: ConnectionTarget, _ settings: NotificationSettings? = nil,
        _ body: (PostgresLedger) async throws -> R
    ) async throws -> R {
        let settings = try settings ?? Self.settings()
        return try await withRunningLedger(on: target) { ledger in
            let sender = Task {
                try await NotificationSender(ledger: ledger, settings: settings, logger: TestCluster.logger).run()
            }
            let result: Result<R, any Error>
            do { result = .success(try await body(ledger)) } catch { result = .failure(error) }
            sender.cancel()
            try await sender.value
            return try result.get()
        }
    }

    private static func subscribe(
        _ ledger: PostgresLedger, to receiver: WebhookReceiver, _ kinds: [NotificationKind] = [.started, .finished],
        path: String = "/hook"
    ) async throws -> (id: Subscription.ID, secret: WebhookSecret) {
        let (subscription, secret) = try await ledger.createSubscription(
            SubscriptionRequest(name: "s", url: receiver.url(path), kinds: kinds), by: nil)
        return (subscription.id, secret)
    }

    private static func start(_ ledger: PostgresLedger, _ tags: [Name: Name] = [:]) async throws -> JobID {
        let job = try await ledger.createJob(JobDescription(name: "nightly", tags: tags)).view.id
        let start = EventDraft(.executionStarted(ExecutionReference(task: "t", attempt: 1)))
        _ = try await ledger.append([start], to: job)
        return job
    }

    private static func newest(_ ledger: PostgresLedger, _ id: Subscription.ID) async throws -> Delivery? {
        try await ledger.deliveries(of: id, within: .unconfined, limit: 1, before: nil).first
    }

    /// Waits until jobs were searched several times more, each time completely.
    private static func waitForSearches(_ ledger: PostgresLedger, _ count: Int = 3) async throws {
        func searchedAt() async throws -> Timestamp {
            try await ledger.pool.query(Query("select searched_at from ledger.notification_state"))[0].decode(0)
        }
        // The search in progress may have begun before, and the last one that begins is still in progress.
        for _ in 0...count + 1 {
            let last = try await searchedAt()
            try await eventually { try await searchedAt() != last }
        }
    }

    /// Lets the next attempt of all waiting deliveries begin now.
    private static func hurry(_ ledger: PostgresLedger) async throws {
        _ = try await ledger.pool.query(
            Query("update ledger.delivery set next_at = now() where state = 'pending' and error is not null"))
    }

    @Test("a message is signed, and delivered once")
    func delivers() async throws {
        try await withLedgerDatabase { target in
            let receiver = try WebhookReceiver()
            defer { receiver.close() }
            try await withSender(on: target) { ledger in
                let (id, secret) = try await Self.subscribe(ledger, to: receiver, path: "/a?b=c")
                let job = try await Self.start(ledger)
                try await eventually { try await Self.newest(ledger, id)?.state == .delivered }
                let request = try #require(receiver.requests.first)
                #expect(request.path == "/a?b=c" && request.headers["host"] == "localhost:\(receiver.port)")
                #expect(request.headers["content-type"] == "application/json")
                let json = try JSONReader.read(request.body)
                #expect(json["type"]?.text == "started" && json["job"]?["job"]?.text == job.description)
                let stamp = try #require(request.headers["webhook-timestamp"].flatMap { Int64($0) })
                let expected = WebhookSignature.headers(
                    id: request.headers["webhook-id"] ?? "", at: Timestamp(microseconds: stamp * 1_000_000),
                    body: request.body, secret)
                #expect(request.headers["webhook-signature"] == expected[2].value)
                let delivery = try #require(try await Self.newest(ledger, id))
                #expect(delivery.id == request.headers["webhook-id"] && delivery.responseStatus == 204)
                _ = try await ledger.append([EventDraft(.jobFinished(.completed))], to: job)
                try await eventually { receiver.requests.count == 2 }
                #expect(Set(receiver.requests.compactMap { $0.headers["webhook-id"] }).count == 2)
            }
        }
    }

    @Test(
        "whatever a receiver does, the message is repeated with the same id until it is accepted",
        arguments: [
            WebhookReceiver.Behaviour.respond(500), .respond(404), .respond(503, headers: ["retry-after: 1"]), .hangUp,
        ])
    func repeats(behaviour: WebhookReceiver.Behaviour) async throws {
        try await withLedgerDatabase { target in
            let receiver = try WebhookReceiver(behaviour)
            defer { receiver.close() }
            try await withSender(on: target) { ledger in
                let (id, _) = try await Self.subscribe(ledger, to: receiver, [.started])
                _ = try await Self.start(ledger)
                try await eventually { try await Self.newest(ledger, id)?.error != nil }
                let failed = try #require(try await Self.newest(ledger, id))
                #expect(failed.state == .pending && failed.attempts == 1)
                receiver.behave(.respond(200))
                try await Self.hurry(ledger)
                try await eventually { try await Self.newest(ledger, id)?.state == .delivered }
                #expect(receiver.requests.count == 2)
                #expect(Set(receiver.requests.compactMap { $0.headers["webhook-id"] }) == [failed.id])
            }
        }
    }

    @Test("redirects are not followed")
    func redirects() async throws {
        try await withLedgerDatabase { target in
            let (receiver, elsewhere) = (try WebhookReceiver(), try WebhookReceiver())
            defer {
                receiver.close()
                elsewhere.close()
            }
            for status in [301, 302, 303, 307, 308] {
                receiver.behave(.respond(status, headers: ["location: \(elsewhere.url())"]))
                try await withSender(on: target) { ledger in
                    let (id, _) = try await Self.subscribe(ledger, to: receiver, [.started])
                    let test = try #require(try await ledger.testSubscription(id, within: .unconfined))
                    #expect(test.state == .failed && test.responseStatus == status)
                    #expect(test.error?.contains("redirects are not followed") == true)
                    _ = try await ledger.removeSubscription(id, within: .unconfined)
                }
            }
            #expect(receiver.requests.count == 5 && elsewhere.requests.isEmpty)
        }
    }

    @Test("410 disables the subscription")
    func gone() async throws {
        try await withLedgerDatabase { target in
            let receiver = try WebhookReceiver(.respond(410))
            defer { receiver.close() }
            try await withSender(on: target) { ledger in
                let (id, _) = try await Self.subscribe(ledger, to: receiver)
                let job = try await Self.start(ledger)
                try await eventually {
                    try await ledger.subscriptions(within: .unconfined).first?.disabled?.reason == .gone
                }
                let last = try await ledger.append([EventDraft(.jobFinished(.completed))], to: job).upperBound
                _ = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                #expect(try await ledger.deliveries(of: id, within: .unconfined, limit: 9, before: nil).count == 1)
                #expect(receiver.requests.count == 1)
            }
        }
    }

    @Test("a receiver that hangs or floods is given up in time, and delays no other one")
    func hangs() async throws {
        try await withLedgerDatabase { target in
            let (slow, flooding, quick) = (
                try WebhookReceiver(.hang), try WebhookReceiver(.flood), try WebhookReceiver()
            )
            defer { for receiver in [slow, flooding, quick] { receiver.close() } }
            try await withSender(on: target) { ledger in
                let slowID = try await Self.subscribe(ledger, to: slow, [.started]).id
                let floodingID = try await Self.subscribe(ledger, to: flooding, [.started]).id
                let quickID = try await Self.subscribe(ledger, to: quick, [.started]).id
                for _ in 0..<30 { _ = try await Self.start(ledger) }
                let start = ContinuousClock.now
                for id in [quickID, floodingID] {
                    try await eventually(equals: 30) {
                        try await ledger.deliveries(of: id, within: .unconfined, limit: 99, before: nil)
                            .count { $0.state == .delivered }
                    }
                }
                #expect(ContinuousClock.now - start < .seconds(14))
                try await eventually { try await Self.newestFailed(ledger, slowID) != nil }
                #expect(try await Self.newestFailed(ledger, slowID)?.error == "no response within 15 s")
            }
        }
    }

    private static func newestFailed(_ ledger: PostgresLedger, _ id: Subscription.ID) async throws -> Delivery? {
        try await ledger.deliveries(of: id, within: .unconfined, limit: 99, before: nil).first { $0.error != nil }
    }

    @Test("a message whose sender dies is sent by another one, with the same id")
    func senderDies() async throws {
        try await withLedgerDatabase { target in
            let receiver = try WebhookReceiver(.hang)
            defer { receiver.close() }
            var settings = try Self.settings()
            settings.lease = .seconds(2)
            let id = try await withSender(on: target, settings) { ledger in
                let (id, _) = try await Self.subscribe(ledger, to: receiver, [.started])
                _ = try await Self.start(ledger)
                try await eventually { receiver.requests.count == 1 }
                return id
            }
            receiver.behave(.respond(200))
            try await withSender(on: target, settings) { ledger in
                try await eventually { try await Self.newest(ledger, id)?.state == .delivered }
                let ids = receiver.requests.compactMap { $0.headers["webhook-id"] }
                #expect(ids.count >= 2 && Set(ids).count == 1)
            }
        }
    }

    @Test("nothing is sent to an address that is not permitted, however it is named")
    func refused() async throws {
        try await withLedgerDatabase { target in
            let receiver = try WebhookReceiver()
            defer { receiver.close() }
            var settings = try Self.settings()
            settings.targets = try WebhookTargets(["10.0.0.0/8"])
            try await withSender(on: target, settings) { ledger in
                for host in ["localhost", "127.0.0.1", "127.1", "2130706433", "0", "[::ffff:127.0.0.1]", "[::1]"] {
                    let url = "http://\(host):\(receiver.port)/"
                    let (subscription, _) = try await ledger.createSubscription(
                        SubscriptionRequest(name: "s", url: url, kinds: [.started]), by: nil)
                    let test = try #require(try await ledger.testSubscription(subscription.id, within: .unconfined))
                    #expect(test.state == .failed && test.error?.hasPrefix("the URL ") == true, "\(host): \(test)")
                }
            }
            #expect(receiver.requests.isEmpty)
        }
    }

    @Test("https verifies the authority and the name, although it connects to an address")
    func secure() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "webhook-\(UUID().uuidString)").path()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { TestFiles.remove(folder) }
        let authority = try await TestCertificates("authority", in: folder)
        try await authority.issue(for: "DNS:localhost")
        let receiver = try await SecureReceiver(authority)
        let stranger = try await TestCertificates("stranger", in: folder)
        try await stranger.issue(for: "DNS:localhost")
        let impostor = try await SecureReceiver(stranger)
        try await withLedgerDatabase { target in
            var settings = try Self.settings()
            settings.targets = try WebhookTargets(["localhost", "127.0.0.1"])
            func test(_ url: String) async throws -> Delivery {
                try await withSender(on: target, settings) { ledger in
                    let (subscription, _) = try await ledger.createSubscription(
                        SubscriptionRequest(name: "s", url: url, kinds: [.started]), by: nil)
                    return try #require(try await ledger.testSubscription(subscription.id, within: .unconfined))
                }
            }
            func isRefused(_ delivery: Delivery) -> Bool {
                delivery.state == .failed && delivery.responseStatus == nil
                    && delivery.error?.localizedCaseInsensitiveContains("certificate") == true
            }
            // The system's authorities have not issued it.
            let unknown = try await test("https://localhost:\(receiver.port)/hook")
            #expect(isRefused(unknown), "\(unknown)")
            settings.authorities = authority.ca
            let accepted = try await test("https://localhost:\(receiver.port)/hook?a=b")
            #expect(accepted.state == .delivered && accepted.responseStatus == 204, "\(accepted)")
            #expect(receiver.requests.map(\.uri) == ["/hook?a=b"])
            #expect(receiver.requests.first?.headers["host"] == ["localhost:\(receiver.port)"])
            let other = try await test("https://127.0.0.1:\(receiver.port)/hook")
            #expect(isRefused(other), "\(other)")
            let forged = try await test("https://localhost:\(impostor.port)/hook")
            #expect(isRefused(forged), "\(forged)")
            #expect(receiver.requests.count == 1 && impostor.requests.isEmpty)
        }
        try await receiver.close()
        try await impostor.close()
    }

    @Test("a test waits as long as an attempt may take")
    func slowTest() async throws {
        try await withLedgerDatabase { target in
            let receiver = try WebhookReceiver(.hang)
            defer { receiver.close() }
            try await withSender(on: target) { ledger in
                let (id, _) = try await Self.subscribe(ledger, to: receiver)
                let test = try #require(try await ledger.testSubscription(id, within: .unconfined))
                #expect(test.state == .failed && test.error == "no response within 15 s", "\(test)")
            }
        }
    }

    @Test("a job is reported as late before its deadline passes, and once")
    func late() async throws {
        try await withLedgerDatabase { target in
            let receiver = try WebhookReceiver()
            defer { receiver.close() }
            var settings = try Self.settings()
            settings.searchInterval = .milliseconds(100)
            try await withSender(on: target, settings) { ledger in
                let (id, _) = try await Self.subscribe(ledger, to: receiver, [.late])
                let hour = Timestamp(microseconds: Timestamp.now.microseconds + 3_600_000_000)
                func start(deadline: Timestamp, total: Int64) async throws -> JobID {
                    let job = try await Self.start(ledger, ["ledger.deadline": Name(RFC3339.text(deadline))])
                    let report = ProgressReport(
                        reference: ExecutionReference(task: "t", attempt: 1), total: total, done: 1)
                    _ = try await ledger.append([EventDraft(.progress(report))], to: job)
                    return job
                }
                let late = try await start(deadline: hour, total: 1_000_000_000)
                _ = try await start(deadline: hour, total: 1)
                try await eventually { receiver.requests.count == 1 }
                let json = try JSONReader.read(receiver.requests[0].body)
                #expect(json["type"]?.text == "late" && json["job"]?["job"]?.text == late.description)
                #expect(json["cause"]?["since"]?.text == RFC3339.text(hour))
                #expect(json["text"]?.text?.contains("will probably miss its deadline") == true)
                try await Self.waitForSearches(ledger)
                #expect(try await ledger.deliveries(of: id, within: .unconfined, limit: 9, before: nil).count == 1)
            }
        }
    }

    @Test("a job that cannot be read keeps no other one from being reported as late")
    func damaged() async throws {
        try await withLedgerDatabase { target in
            let receiver = try WebhookReceiver()
            defer { receiver.close() }
            var settings = try Self.settings()
            settings.searchInterval = .milliseconds(100)
            try await withSender(on: target, settings) { ledger in
                let deadline = RFC3339.text(Timestamp(microseconds: Timestamp.now.microseconds + 3_600_000_000))
                var jobs: [JobID] = []
                for _ in 0..<2 {
                    let job = try await Self.start(ledger, ["ledger.deadline": Name(deadline)])
                    let report = ProgressReport(
                        reference: ExecutionReference(task: "t", attempt: 1), total: 1_000_000_000, done: 1)
                    let last = try await ledger.append([EventDraft(.progress(report))], to: job).upperBound
                    let isFolded = try await ledger.waitUntilFolded(job, sequence: last, deadline: .testTimeout)
                    #expect(isFolded)
                    jobs.append(job)
                }
                let damage = "update ledger.indicator set updated_at = 'infinity' where job_id = $1"
                #expect(try await tamper(target, damage, [jobs[0]]) == 1)
                await #expect(throws: StoreError.self) { try await ledger.jobs(jobs) }
                _ = try await Self.subscribe(ledger, to: receiver, [.late])
                try await eventually { receiver.requests.count == 1 }
                let json = try JSONReader.read(receiver.requests[0].body)
                #expect(json["job"]?["job"]?.text == jobs[1].description)
            }
        }
    }

    /// The stalls of a job, as a test sets them.
    private final class Stall: Sendable {
        private let state = Mutex<JobStalls?>(JobStalls.none)
        var stalls: JobStalls? { state.withLock { $0 } }
        func set(_ stalls: JobStalls?) { state.withLock { $0 = stalls } }

        /// A stall since this second.
        func begin(_ second: Int64) {
            let moment = Timestamp(microseconds: second * 1_000_000)
            set(JobStalls(since: moment, lastAdvance: moment))
        }
    }

    @Test("each stall is reported once, and its end only after an advance")
    func stalls() async throws {
        try await withLedgerDatabase { target in
            let (receiver, stall) = (try WebhookReceiver(), Stall())
            defer { receiver.close() }
            var settings = try Self.settings()
            settings.searchInterval = .milliseconds(100)
            settings.stalls = { _ in stall.stalls }
            try await withSender(on: target, settings) { ledger in
                let (id, _) = try await Self.subscribe(ledger, to: receiver, [.stalled, .advancing])
                _ = try await Self.start(ledger)
                func enqueued() async throws -> Int {
                    try await ledger.deliveries(of: id, within: .unconfined, limit: 9, before: nil).count
                }
                func kinds() throws -> [String] {
                    try receiver.requests.map { try JSONReader.read($0.body)["type"]?.text ?? "" }.sorted()
                }
                stall.begin(1)
                try await eventually(equals: ["stalled"]) { try kinds() }
                // Nothing runs for a while, or a new worker has begun, or the state is being built: no advance.
                for stalls in [JobStalls(lastAdvance: Timestamp(microseconds: 1_000_000)), nil] {
                    stall.set(stalls)
                    try await Self.waitForSearches(ledger)
                    #expect(try await enqueued() == 1)
                }
                stall.set(JobStalls(lastAdvance: Timestamp(microseconds: 1_500_000)))
                try await eventually(equals: ["advancing", "stalled"]) { try kinds() }
                stall.begin(2)
                try await eventually(equals: 3) { try kinds().count }
                // It has advanced and stalled again between two searches.
                stall.begin(3)
                try await eventually(equals: ["advancing", "advancing", "stalled", "stalled", "stalled"]) {
                    try kinds()
                }
                try await Self.waitForSearches(ledger)
                #expect(try await enqueued() == 5 && receiver.requests.count == 5)
            }
        }
    }
}
