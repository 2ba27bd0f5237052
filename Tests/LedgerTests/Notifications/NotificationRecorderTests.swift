import Ledger
import Testing

@Suite("Causes of notifications")
struct NotificationRecorderTests {
    private static let job = JobID(high: 1, low: 2)

    private static func subscription(_ kinds: [NotificationKind]) throws -> Subscription {
        Subscription(
            id: try #require(Subscription.ID("aaaaaaaaaaaa")), name: "s",
            receiver: try WebhookAddress("https://example.com"), kinds: kinds, jobName: nil, tags: [:],
            format: .standard, createdAt: Timestamp(microseconds: 0), createdBy: nil, disabled: nil)
    }

    /// The notifications of events after a job's creation, as `kind@sequence`.
    private func notifications(_ kinds: [NotificationKind], _ bodies: [EventBody]) throws -> [String] {
        var fold = Fold(tracksChanges: false)
        try fold.apply(event(1, .jobCreated(JobDescription(name: "j"))))
        var recorder = NotificationRecorder(Self.job, [try Self.subscription(kinds)], after: fold.progress)
        for (index, body) in bodies.enumerated() {
            let event = event(EventSequence(index + 2), body)
            recorder.record(event, try fold.apply(event), in: fold)
        }
        return recorder.notifications.map { notification in
            guard case .event(let sequence) = notification.cause.origin else { return notification.cause.kind.text }
            return "\(notification.cause.kind.text)@\(sequence)"
        }
    }

    private func event(_ sequence: EventSequence, _ body: EventBody) -> Event {
        EventDraft(body).recorded(sequence: sequence, at: Timestamp(microseconds: sequence.number))
    }

    private static func reference(_ attempt: Int64) -> ExecutionReference {
        ExecutionReference(task: "t", attempt: Int32(attempt))
    }

    private static func start(_ attempt: Int64) -> EventBody { .executionStarted(reference(attempt)) }

    private static func progress(_ attempt: Int64, done: Int64) -> EventBody {
        .progress(ProgressReport(reference: reference(attempt), total: 10, done: done))
    }

    @Test("each kind has its events")
    func kinds() throws {
        let bodies: [EventBody] = [
            Self.start(1), Self.progress(1, done: 4), Self.start(2), .jobFinished(.failed), Self.start(3),
            .jobFinished(.canceled), .jobFinished(.completed),
        ]
        let all = try notifications([.started, .finished, .failed, .canceled, .reopened, .decreased], bodies)
        #expect(
            all == ["started@2", "decreased@4", "failed@5", "reopened@6", "canceled@7", "finished@8"])
        #expect(try notifications([.stalled], bodies).isEmpty)
    }

    @Test("a subscription to the end of jobs learns of every end")
    func ends() throws {
        let bodies: [EventBody] = [.jobFinished(.failed), .jobFinished(.canceled), .jobFinished(.completed)]
        #expect(try notifications([.finished], bodies) == ["finished@2", "finished@3", "finished@4"])
        #expect(try notifications([.failed, .finished], bodies) == ["failed@2", "finished@3", "finished@4"])
        #expect(try notifications([.failed], bodies) == ["failed@2"])
    }

    @Test("an execution that is superseded by as much work, or had done nothing, decreases nothing")
    func decreases() throws {
        func decreases(_ before: Int64, _ event: EventBody) throws -> Bool {
            try !notifications([.decreased], [Self.progress(1, done: before), event]).isEmpty
        }
        #expect(try decreases(3, Self.start(2)))
        #expect(try !decreases(0, Self.start(2)))
        #expect(try decreases(3, Self.progress(2, done: 2)))
        #expect(try !decreases(3, Self.progress(2, done: 3)))
    }

    @Test("of very many causes of a kind, the newest are kept")
    func cap() throws {
        let ends: [EventBody] = (0..<50).map { _ in .jobFinished(.failed) }
        let kept = try notifications([.failed, .started], [Self.start(1)] + ends)
        #expect(kept.count == 1 + NotificationRecorder.causesPerKindMax)
        #expect(kept.first == "started@2" && kept.last == "failed@52")
    }

    @Test("a threshold is passed upwards only")
    func percents() throws {
        func passed(_ before: Int?, _ after: Int?) throws -> [String] {
            var recorder = NotificationRecorder(
                Self.job, [try Self.subscription([.percent(50), .percent(90)])], after: JobProgress())
            recorder.recordPercent(from: before, to: after, by: (7, Timestamp(microseconds: 7)))
            return recorder.notifications.map(\.cause.kind.text)
        }
        #expect(try passed(nil, 50) == ["percent:50"] && passed(49, 99) == ["percent:50", "percent:90"])
        #expect(try passed(50, 89).isEmpty && passed(90, 10).isEmpty && passed(10, nil).isEmpty)
    }

    @Test("texts of kinds are read exactly")
    func texts() {
        for kind in NotificationKind.plain + [.percent(1), .percent(100)] {
            #expect(NotificationKind(kind.text) == kind)
        }
        for text in ["", "Finished", "percent", "percent:0", "percent:101", "percent:050", "percent:+5", "percent: 5"] {
            #expect(NotificationKind(text) == nil, "\(text)")
        }
    }
}
