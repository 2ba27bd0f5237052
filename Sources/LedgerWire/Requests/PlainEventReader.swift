internal import Ledger

/// A fast parser for events in the common form, directly from the bytes of a body.
///
/// The common form has only fields of events, each at most once, whole numbers, and texts without escapes. Parsing
/// allocates nothing except the texts that are kept.
///
/// It accepts nothing that the general parser (``JSONReader`` and ``FieldReader``) would refuse, and gives the same
/// result. It leaves everything else to the general parser: escapes, nulls, fractions and errors. So errors are
/// reported in one position.
struct PlainEventReader {
    /// The bytes to parse.
    ///
    /// They are valid as long as the parser is used, because its creator uses it only within the scope of the bytes.
    private let bytes: UnsafeBufferPointer<UInt8>
    private let namesJob: Bool
    private let endsAtLine: Bool
    /// The offset of the next byte to read.
    private(set) var position: Int

    /// Creates a parser at an offset of these bytes.
    ///
    /// - Parameters:
    ///   - namesJob: Whether each event must name its job, or must not.
    ///   - endsAtLine: Whether a line feed ends an event, as in NDJSON, instead of being white space.
    init(_ bytes: UnsafeBufferPointer<UInt8>, at position: Int = 0, namesJob: Bool, endsAtLine: Bool) {
        self.bytes = bytes
        self.position = position
        self.namesJob = namesJob
        self.endsAtLine = endsAtLine
    }

    /// The fields that an event can have.
    private struct FieldSet: OptionSet {
        let rawValue: UInt16

        static let job = FieldSet(rawValue: 1)
        static let type = FieldSet(rawValue: 1 << 1)
        static let at = FieldSet(rawValue: 1 << 2)
        static let task = FieldSet(rawValue: 1 << 3)
        static let execution = FieldSet(rawValue: 1 << 4)
        static let attempt = FieldSet(rawValue: 1 << 5)
        static let report = FieldSet(rawValue: 1 << 6)
        static let label = FieldSet(rawValue: 1 << 7)
        static let total = FieldSet(rawValue: 1 << 8)
        static let done = FieldSet(rawValue: 1 << 9)
        static let outcome = FieldSet(rawValue: 1 << 10)
        static let message = FieldSet(rawValue: 1 << 11)
        static let link = FieldSet(rawValue: 1 << 12)
        static let unit = FieldSet(rawValue: 1 << 13)
        static let part = FieldSet(rawValue: 1 << 14)
        static let carried = FieldSet(rawValue: 1 << 15)

        static let start: FieldSet = [.job, .type, .at, .task, .execution, .attempt, .link]
        static let progress = start.union([.report, .label, .total, .done, .message, .unit, .part, .carried])
        static let finish = start.union([.outcome, .message])
        static let jobFinish: FieldSet = [.job, .type, .at, .outcome, .message]
    }

    /// The values of the fields.
    private struct Fields {
        var given: FieldSet = []
        var type = 0..<0
        var outcome = 0..<0
        var job: JobID?
        var at: Timestamp?
        var task: Name?
        var execution: Name?
        var label: Name?
        var attempt: Int64?
        var report: Int64?
        var total: Int64?
        var done: Int64?
        var message: Name?
        var link: Name?
        var unit: Name?
        var part: Name?
        var carried: Int64?

        var reference: ExecutionReference? {
            task.map { ExecutionReference(task: $0, execution: execution, attempt: attempt.map { Int32($0) }) }
        }
    }

    /// Reads the next event and advances past it.
    ///
    /// Nil, at an undefined position, if the general parser must read it.
    mutating func read() -> EventRequest.Entry? {
        var fields = Fields()
        guard take(UInt8(ascii: "{")) else { return nil }
        repeat {
            guard take(UInt8(ascii: "\"")), let name = text(), take(UInt8(ascii: ":")),
                let field = field(named: name), fields.given.insert(field).inserted
            else { return nil }
            skipSpace()
            guard read(field, into: &fields) else { return nil }
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")), fields.given.contains(.job) == namesJob, let body = body(fields) else {
            return nil
        }
        let draft = EventDraft(body, at: fields.at, message: fields.message, link: fields.link)
        assert(draft.fieldErrors().isEmpty, "the general parser must read and report an invalid event")
        return EventRequest.Entry(job: fields.job, draft: draft)
    }

    // MARK: Fields

    private func field(named name: Range<Int>) -> FieldSet? {
        switch name.count {
        case 2: holds("at", name) ? .at : nil
        case 3: holds("job", name) ? .job : nil
        case 4:
            holds("done", name)
                ? .done
                : holds("task", name)
                    ? .task
                    : holds("type", name)
                        ? .type
                        : holds("unit", name)
                            ? .unit
                            : holds("part", name) ? .part : holds("link", name) ? .link : nil
        case 5: holds("total", name) ? .total : holds("label", name) ? .label : nil
        case 6: holds("report", name) ? .report : nil
        case 7:
            holds("attempt", name)
                ? .attempt
                : holds("outcome", name)
                    ? .outcome : holds("message", name) ? .message : holds("carried", name) ? .carried : nil
        case 9: holds("execution", name) ? .execution : nil
        default: nil
        }
    }

    /// Reads the value of a field.
    ///
    /// - Returns: Whether the value is valid for the field.
    private mutating func read(_ field: FieldSet, into fields: inout Fields) -> Bool {
        switch field {
        case .type: return takeText(into: &fields.type)
        case .outcome: return takeText(into: &fields.outcome)
        case .job: return takeJob(into: &fields.job)
        case .at: return takeMoment(into: &fields.at)
        case .task: return takeName(Limits.taskLengths, into: &fields.task)
        case .execution: return takeName(Limits.executionLengths, into: &fields.execution)
        case .label: return takeName(Limits.labelLengths, into: &fields.label)
        case .attempt: return takeInteger(Limits.attempts, into: &fields.attempt)
        case .report: return takeInteger(Limits.reports, into: &fields.report)
        case .total: return takeInteger(Limits.increments, into: &fields.total)
        case .done: return takeInteger(Limits.increments, into: &fields.done)
        case .carried: return takeInteger(Limits.increments, into: &fields.carried)
        case .part: return takeName(Limits.partLengths, into: &fields.part)
        case .message:
            return takeName(Limits.messageLengths, into: &fields.message)
                && !(fields.message?.containsControl() ?? true)
        case .unit: return takeName(Limits.unitLengths, into: &fields.unit) && !(fields.unit?.containsControl() ?? true)
        case .link: return takeName(Limits.linkLengths, into: &fields.link) && fields.link?.linkFault == nil
        default: return false
        }
    }

    private func body(_ fields: Fields) -> EventBody? {
        if holds("progress", fields.type) {
            guard fields.given.isSubset(of: .progress), let reference = fields.reference,
                fields.carried ?? 0 <= fields.done ?? 0
            else { return nil }
            return .progress(
                ProgressReport(
                    reference: reference, report: fields.report, label: fields.label, total: fields.total,
                    done: fields.done, carried: fields.carried, unit: fields.unit, part: fields.part))
        }
        if holds("execution_started", fields.type) {
            guard fields.given.isSubset(of: .start), let reference = fields.reference,
                reference.execution != nil || reference.attempt != nil
            else { return nil }
            return .executionStarted(reference)
        }
        if holds("execution_finished", fields.type) {
            guard fields.given.isSubset(of: .finish), let reference = fields.reference,
                let outcome = ExecutionOutcome(rawValue: string(fields.outcome))
            else { return nil }
            return .executionFinished(reference, outcome)
        }
        guard holds("job_finished", fields.type), fields.given.isSubset(of: .jobFinish) else { return nil }
        return JobOutcome(rawValue: string(fields.outcome)).map { .jobFinished($0) }
    }

    // MARK: Values

    private mutating func takeText(into range: inout Range<Int>) -> Bool {
        guard take(UInt8(ascii: "\"")), let text = text() else { return false }
        range = text
        return true
    }

    /// Reads a name within these lengths.
    ///
    /// A scalar has one to four bytes, so a text with no more bytes than the limit in scalars is short enough. The
    /// general parser counts the scalars of longer ones.
    private mutating func takeName(_ lengths: ClosedRange<Int>, into name: inout Name?) -> Bool {
        guard take(UInt8(ascii: "\"")), let range = text(), lengths.contains(range.count),
            let text = String(utf8: UnsafeBufferPointer(rebasing: bytes[range]))
        else { return false }
        name = Name(text)
        return true
    }

    private mutating func takeJob(into job: inout JobID?) -> Bool {
        guard take(UInt8(ascii: "\"")), let range = text() else { return false }
        job = JobID(string(range))
        return job != nil
    }

    private mutating func takeMoment(into moment: inout Timestamp?) -> Bool {
        guard take(UInt8(ascii: "\"")), let range = text(),
            let read = RFC3339.timestamp(utf8: UnsafeBufferPointer(rebasing: bytes[range])),
            (Timestamp.earliest...Timestamp.latest).contains(read)
        else { return false }
        moment = read
        return true
    }

    /// Reads an integer of at most sixteen digits, the length of the largest valid one.
    private mutating func takeInteger(_ range: ClosedRange<Int64>, into integer: inout Int64?) -> Bool {
        let start = position
        var value: Int64 = 0
        while position < bytes.count, position - start <= 16, case let digit = bytes[position] &- UInt8(ascii: "0"),
            digit <= 9
        {
            value = value &* 10 &+ Int64(digit)
            position += 1
        }
        let count = position - start
        guard count > 0, count <= 16, count == 1 || bytes[start] != UInt8(ascii: "0"), range.contains(value),
            position < bytes.count
        else { return false }
        // A fraction or an exponent changes the number.
        switch bytes[position] {
        case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): return false
        default: break
        }
        integer = value
        return true
    }

    // MARK: Bytes

    private func string(_ range: Range<Int>) -> String {
        String(decoding: UnsafeBufferPointer(rebasing: bytes[range]), as: UTF8.self)
    }

    private func holds(_ word: StaticString, _ range: Range<Int>) -> Bool {
        guard range.count == word.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count where bytes[range.lowerBound + offset] != word.utf8Start[offset] { return false }
        return true
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0D: position += 1
            case 0x0A where !endsAtLine: position += 1
            default: return
            }
        }
    }

    /// Takes this byte, after white space, if it comes next.
    private mutating func take(_ byte: UInt8) -> Bool {
        if position < bytes.count, bytes[position] == byte {
            position += 1
            return true
        }
        skipSpace()
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    /// Returns the range of the text after its quotation mark, and advances past it.
    ///
    /// Nil if the text contains an escape or a control character, or has no end.
    private mutating func text() -> Range<Int>? {
        let start = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                defer { position += 1 }
                return start..<position
            case UInt8(ascii: "\\"), 0..<0x20: return nil
            default: position += 1
            }
        }
        return nil
    }
}

extension PlainEventReader {
    /// Whether only white space follows on this line; advances to the next line.
    mutating func takeEndOfLine() -> Bool {
        skipSpace()
        guard position < bytes.count else { return true }
        return take(0x0A)
    }
}
