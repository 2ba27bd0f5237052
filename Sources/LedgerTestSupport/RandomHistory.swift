public import Ledger

/// A deterministic generator of random numbers with a seed.
///
/// It is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) {
        state = seed
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A generator of random histories that exercise every rule of the fold.
///
/// Few tasks, names, attempts, labels and report numbers make collisions frequent.
public enum RandomHistory {
    public static func events(count: Int, seed: UInt64) -> [Event] {
        var generator = SeededGenerator(seed: seed)
        var events = [
            Event(
                sequence: 1, recordedAt: Timestamp(microseconds: 1), body: .jobCreated(JobDescription(name: "random")))
        ]
        // Some histories use many report numbers, which fill several pages of report numbers.
        let reportsMax = Int64([6, 40, 400].randomElement(using: &generator) ?? 6)
        let tasksMax = Int.random(in: 1...5, using: &generator)
        var notes = SeededGenerator(seed: ~seed)
        while events.count < count {
            let sequence = EventSequence.start + events.count + 1
            let draft = noted(body(tasksMax, reportsMax, &generator), &notes)
            events.append(draft.recorded(sequence: sequence, at: Timestamp(microseconds: sequence.number)))
        }
        return events
    }

    /// The draft of an event, often with optional fields.
    private static func noted(_ body: EventBody, _ generator: inout SeededGenerator) -> EventDraft {
        func some(_ texts: [Name?]) -> Name? {
            Int.random(in: 0..<3, using: &generator) == 0 ? texts.randomElement(using: &generator) ?? nil : nil
        }
        var body = body
        let message = some(["reading", "line 1\nline 2", "\u{e9}"])
        let link = some(["https://example.com/log?n=1", "http://[::1]:8080/"])
        switch body {
        case .jobCreated: return EventDraft(body)
        case .jobFinished: return EventDraft(body, message: message)
        case .executionStarted: return EventDraft(body, link: link)
        case .executionFinished: break
        case .progress(let report):
            let done = report.done ?? 0
            body = .progress(
                ProgressReport(
                    reference: report.reference, report: report.report, label: report.label, total: report.total,
                    done: report.done,
                    carried: Bool.random(using: &generator) ? nil : Int64.random(in: 0...done, using: &generator),
                    unit: some(["bytes", "tiles"]), part: some(["0", "1", "\u{e9}"])))
        }
        return EventDraft(body, message: message, link: link)
    }

    private static func body(
        _ tasksMax: Int, _ reportsMax: Int64, _ generator: inout SeededGenerator
    ) -> EventBody {
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<2:
            return .jobFinished(JobOutcome.allCases.randomElement(using: &generator) ?? .completed)
        case 2..<10:
            var reference = reference(tasksMax, &generator)
            if reference.execution == nil, reference.attempt == nil { reference.attempt = 1 }
            return .executionStarted(reference)
        case 10..<18:
            return .executionFinished(
                reference(tasksMax, &generator), ExecutionOutcome.allCases.randomElement(using: &generator) ?? .failed)
        default:
            return .progress(
                ProgressReport(
                    reference: reference(tasksMax, &generator),
                    report: Bool.random(using: &generator) ? Int64.random(in: 1...reportsMax, using: &generator) : nil,
                    label: [nil, "", "download", "e\u{301}", "\u{e9}"].randomElement(using: &generator) ?? nil,
                    total: increment(&generator), done: increment(&generator)))
        }
    }

    private static func reference(_ tasksMax: Int, _ generator: inout SeededGenerator) -> ExecutionReference {
        let names: [Name?] = [nil, nil, "a", "b", "c"]
        let attempts: [Int32?] = [nil, nil, nil, 1, 2, 3, 2_147_483_647]
        let rare = Int.random(in: 0..<50, using: &generator) == 0
        return ExecutionReference(
            task: Name("task \(Int.random(in: 0..<tasksMax, using: &generator))"),
            execution: names.randomElement(using: &generator) ?? nil,
            attempt: attempts.dropLast(rare ? 0 : 1).randomElement(using: &generator) ?? nil)
    }

    private static func increment(_ generator: inout SeededGenerator) -> Int64? {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0..<3: nil
        case 3: Limits.increments.upperBound
        default: Int64.random(in: 0...2, using: &generator)
        }
    }
}
