internal import Ledger
internal import LedgerWire

/// Formats values for people, exactly as `Files/text.js` does.
enum PageText {
    /// Replaces each invisible or reordering character by `\u{…}`.
    static func visible(_ text: String) -> String { HiddenScalars.escape(text) }

    /// A JavaScript module with a regular expression of the same characters.
    ///
    /// `Files/text.js` imports it.
    static var invisibleModule: String {
        var ranges: [ClosedRange<UInt32>] = []
        for value in UInt32(0)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value), HiddenScalars.contains(scalar) else { continue }
            if let last = ranges.last, last.upperBound + 1 == value {
                ranges[ranges.count - 1] = last.lowerBound...value
            } else {
                ranges.append(value...value)
            }
        }
        func code(_ value: UInt32) -> String { "\\u{\(String(value, radix: 16, uppercase: true))}" }
        let classes = ranges.map { "\(code($0.lowerBound))-\(code($0.upperBound))" }.joined()
        return "export const invisible = /[\(classes)]/gu;\n"
    }

    /// The number of an event with narrow spaces between groups of three digits.
    static func number(_ sequence: EventSequence) -> String { number(sequence.number) }

    /// A number with narrow spaces between groups of three digits.
    static func number(_ value: some BinaryInteger) -> String {
        let digits = Array(String(value.magnitude).utf8)
        var text = value < 0 ? "−" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text += "\u{202F}" }
            text.unicodeScalars.append(Unicode.Scalar(digit))
        }
        return text
    }

    /// An amount of units: scaled if the unit is bytes.
    static func amount(_ value: Int128, _ unit: Name?) -> String {
        UnitText.amount(value, of: unit) { number($0) }
    }

    /// The name of a unit behind its amount; empty if the amount contains it.
    static func unit(_ unit: Name?) -> String { visible(UnitText.suffix(unit)) }

    static func percent(_ value: (some BinaryInteger)?) -> String {
        value.map { "\($0)\u{202F}%" } ?? "–"
    }

    /// An age; seconds are omitted from one minute on.
    static func age(microseconds: Int64) -> String {
        let minutes = microseconds / 60_000_000
        return minutes >= 1 && minutes < 60 ? "\(minutes)\u{202F}min" : duration(microseconds: microseconds)
    }

    /// A duration in its two largest units, rounded down.
    static func duration(microseconds: Int64) -> String {
        let seconds = max(0, microseconds) / 1_000_000
        if seconds < 60 { return "\(seconds)\u{202F}s" }
        if seconds < 3_600 { return "\(seconds / 60)\u{202F}min \(seconds % 60)\u{202F}s" }
        if seconds < 86_400 { return "\(seconds / 3_600)\u{202F}h \(seconds / 60 % 60)\u{202F}min" }
        return "\(seconds / 86_400)\u{202F}d \(seconds / 3_600 % 24)\u{202F}h"
    }

    /// The time of day in UTC, to the second.
    static func clock(_ moment: Timestamp) -> String {
        String(RFC3339.text(moment).dropFirst(11).prefix(8))
    }

    /// The day and the time of day in UTC, to the second.
    static func dayAndClock(_ moment: Timestamp) -> String {
        String(RFC3339.text(moment).prefix(10)) + " " + clock(moment)
    }

    /// An execution of a task, in words.
    static func execution(_ execution: ExecutionIdentity) -> String {
        execution.execution.map { "attempt \(execution.attempt), \(visible($0.text))" }
            ?? "attempt \(execution.attempt)"
    }

    /// Units per second, or the time for a unit if there is less than one per second.
    ///
    /// Empty without an advance.
    static func rate(_ perSecond: Double, unit: Name?) -> String {
        guard perSecond > 0, perSecond.isFinite, perSecond < 1e18 else { return "" }
        guard perSecond >= 1 else {
            return "\(duration(microseconds: Int64(min(1e6 / perSecond, 1e18)))) each"
        }
        if UnitText.isScaled(unit) { return "\(UnitText.bytes(Int128(perSecond)))/s" }
        let tenths = Int128((perSecond * 10).rounded())
        guard perSecond < 10, tenths % 10 != 0 else {
            return "\(number(Int128(perSecond.rounded())))/s"
        }
        return "\(tenths / 10).\(tenths % 10)/s"
    }

    /// A report: units done and units declared.
    static func change(done: Int128, total: Int128, carried: Int128 = 0, unit: Name? = nil) -> String {
        var parts: [String] = []
        if done > 0 {
            let carried = carried > 0 ? " (\(amount(carried, unit)) carried)" : ""
            parts.append("+\(amount(done, unit))\(Self.unit(unit)) done\(carried)")
        }
        if total > 0 { parts.append("+\(amount(total, unit))\(Self.unit(unit)) total") }
        return parts.isEmpty ? "+0" : parts.joined(separator: ", ")
    }

    /// The cause of a decrease.
    static func cause(_ cause: IndicatorHistory.Cause, unit: Name? = nil) -> String {
        var lost: [String] = []
        if cause.lost.done > 0 { lost.append("−\(amount(cause.lost.done, unit)) done") }
        if cause.lost.total > 0 { lost.append("−\(amount(cause.lost.total, unit)) total") }
        return "\(lost.joined(separator: ", ")): \(visible(cause.task.text)) restarted, \(execution(cause.execution))"
    }
}
