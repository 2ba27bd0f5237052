import Ledger
import LedgerTestSupport
import LedgerWire
import Testing

@testable import LedgerNotifications

@Suite("Messages to receivers")
struct MessageTests {
    @Test("the signature is that of Standard Webhooks")
    func signature() throws {
        // The example of the specification's reference libraries.
        let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let headers = WebhookSignature.headers(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", at: Timestamp(microseconds: 1_614_265_330_999_999),
            body: Array(#"{"test": 2432232314}"#.utf8), secret)
        #expect(headers.map(\.name) == ["webhook-id", "webhook-timestamp", "webhook-signature"])
        #expect(headers[1].value == "1614265330")
        #expect(headers[2].value == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    private static let now = Timestamp(microseconds: 1_800_000_000_000_000)

    private func payload(
        _ kind: NotificationKind, name: Name = "nightly", tags: [Name: Name] = [:], state: JobState = .running,
        indicators: Int = 1, format: Subscription.Format = .standard, hasJob: Bool = true
    ) throws -> NotificationPayload {
        let job = JobID(high: 1, low: 2)
        let shown = (0..<indicators).map { index in
            Snapshot.Indicator(
                label: Name("l\(index)"), counted: Units(total: 10, done: 4), attempted: Units(total: 10, done: 4),
                updatedAt: Self.now)
        }
        let snapshot = Snapshot(
            sequence: 7, state: state, createdAt: Self.now, startedAt: Self.now, updatedAt: Self.now, finishedAt: nil,
            tasks: TaskCounts(), indicators: shown)
        let estimate = Estimate(
            remaining: Estimate.Remaining(p10: 540, p50: 720, p90: 1_200), basis: .job, waitingFor: nil, reason: nil)
        return NotificationPayload(
            subscription: Subscription(
                id: try #require(Subscription.ID("aaaaaaaaaaaa")), name: "s",
                receiver: try WebhookAddress("https://example.com"), kinds: [kind], jobName: nil, tags: [:],
                format: format, createdAt: Self.now, createdBy: nil, disabled: nil),
            cause: NotificationCause(job: hasJob ? job : nil, kind: kind, origin: .event(7), at: Self.now),
            job: hasJob
                ? JobView(
                    id: job, description: JobDescription(name: name, tags: tags), createdAt: Self.now,
                    ledgerSequence: 7, snapshot: snapshot, estimate: JobEstimate(estimate, at: Self.now)) : nil,
            now: Self.now)
    }

    @Test("a message contains the job, the cause and one line of text")
    func standard() throws {
        let json = try JSONReader.read(try payload(.percent(25)).bytes)
        #expect(json["type"]?.text == "percent" && json["timestamp"]?.text == RFC3339.text(Self.now))
        #expect(json["text"]?.text == "nightly has reached 25 %.")
        #expect(json["cause"]?["threshold"] == .integer(25) && json["cause"]?["sequence"] == .integer(7))
        #expect(json["job"]?["name"]?.text == "nightly" && json["job"]?["progress"]?.elements?.count == 1)
        #expect(json["job"]?["now"]?.text == RFC3339.text(Self.now))
        #expect(try JSONReader.read(try payload(.test, hasJob: false).bytes)["job"] == .null)
        let large = try JSONReader.read(try payload(.started, indicators: 5_000).bytes)
        #expect(large["job"]?["progress"]?.elements?.count == 100)
    }

    @Test(
        "each kind has its words",
        arguments: [
            (NotificationKind.started, JobState.running, "nightly has started."),
            (.finished, .completed, "nightly has finished."), (.finished, .failed, "nightly has failed at 40 %."),
            (.failed, .failed, "nightly has failed at 40 %."),
            (.failed, .running, "nightly has failed at 40 %. It is running again."),
            (.canceled, .canceled, "nightly was canceled at 40 %."),
            (.reopened, .running, "nightly is running again after it had ended."),
            (.late, .running, "nightly will probably take much longer than usual. Remaining: ≈ 12 min (9–20)."),
        ])
    func texts(kind: NotificationKind, state: JobState, text: String) throws {
        #expect(try payload(kind, state: state).text == text)
    }

    @Test("a late job's text names its deadline")
    func deadline() throws {
        let text = try payload(.late, tags: ["ledger.deadline": "2030-01-01T00:00:00+01:00"]).text
        #expect(
            text == "nightly will probably miss its deadline, 2029-12-31T23:00:00Z. Remaining: ≈ 12 min (9–20).")
        #expect(try payload(.late, tags: ["ledger.deadline": "2001-01-01T00:00:00Z"]).text.contains("has missed"))
        #expect(try payload(.late, tags: ["ledger.deadline": "soon"]).text.contains("longer than usual"))
    }

    @Test("a name can neither mention people in Slack nor hide text")
    func hostile() throws {
        let name: Name = "<!channel> & \u{202E}x\n"
        let slack = try JSONReader.read(try payload(.started, name: name, format: .slack).bytes)
        #expect(slack["text"]?.text == "&lt;!channel&gt; &amp; \u{FFFD}x\u{FFFD} has started.")
        #expect(slack["job"] == nil)
    }
}
