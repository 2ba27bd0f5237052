import Ledger
import Testing

/// The estimates by which replays keep their limits of memory.
@Suite("Memory of folds")
struct FoldMemoryTests {
    private static let reference = ExecutionReference(task: "t", attempt: 1)

    private static func event(
        _ sequence: EventSequence, label: Name? = nil, report: Int64? = nil, unit: Name? = nil, part: Name? = nil,
        message: Name? = nil
    ) -> Event {
        Event(
            sequence: sequence, recordedAt: Timestamp(microseconds: sequence.number), message: message,
            body: .progress(
                ProgressReport(
                    reference: reference, report: report, label: label, done: 1, unit: unit, part: part)))
    }

    private static func created() -> Event {
        Event(sequence: 1, recordedAt: Timestamp(microseconds: 1), body: .jobCreated(JobDescription(name: "j")))
    }

    /// The memory that the events add to a fold, by its estimate.
    private func memory(_ events: [Event]) throws -> Int {
        var fold = Fold(tracksChanges: false)
        try fold.apply(Self.created())
        for event in events { try fold.apply(event) }
        return fold.memoryEstimate
    }

    private static let longest = Name(String(repeating: "\u{1F680}", count: 1_000))

    @Test("the longest messages, units and parts are part of the estimate")
    func textsCount() throws {
        let count = 100
        let plain = try memory((0..<count).map { Self.event(2 + $0, label: Name("\($0)")) })
        let notes = try memory(
            (0..<count).map {
                Self.event(
                    2 + $0, label: Name("\($0)"), unit: Name(String(repeating: "\u{1F680}", count: 32)),
                    message: Self.longest)
            })
        // Every label has a message of its own, and the job has the last one.
        #expect(notes - plain == count * (4_000 + 128) + 4_000)
        let parts = try memory(
            (0..<count).map { Self.event(2 + $0, report: 1, part: Name(String(repeating: "é", count: $0 + 1))) })
        let numbered = try memory((0..<count).map { Self.event(2 + $0, report: 1, part: Name("\($0)")) })
        #expect(parts - numbered == (1...100).reduce(0) { $0 + 2 * $1 } - (10 + 2 * 90))
    }

    @Test("a message that is replaced, and further reports of a part, need no more memory")
    func replacedTexts() throws {
        let messages = try memory((0..<300).map { Self.event(2 + $0, message: Self.longest) })
        #expect(messages < 3 * 4_000)
        let one = try memory([Self.event(2, report: 1, part: "a part of its own")])
        let two = try memory([
            Self.event(2, report: 1, part: "a part of its own"), Self.event(3, report: 2, part: "a part of its own"),
        ])
        #expect(two - one < 100)
    }

    @Test("a restored fold has the same texts as the one that was stored")
    func restoredTexts() throws {
        var fold = Fold()
        try fold.apply(Self.created())
        try fold.apply(Self.event(2, report: 1, unit: "tiles", part: "a part of its own", message: Self.longest))
        let changes = try fold.takeChanges()
        var restored = Fold(changes.progress)
        let empty = restored.memoryEstimate
        for indicator in changes.indicators { restored.restore(indicator) }
        for page in changes.pages { restored.restore(page.appended, at: page.key) }
        let texts = 4_000 + "tiles".utf8.count + "a part of its own".utf8.count
        #expect(restored.memoryEstimate - empty == 384 + 160 + texts)
    }
}
