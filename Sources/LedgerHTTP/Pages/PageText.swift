internal import Ledger
internal import LedgerWire

/// Formats values for people, exactly as `Files/text.js` does.
enum PageText {
    /// Replaces each invisible or reordering character by `\u{…}`.
    static func visible(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isHidden) else { return text }
        var visible = ""
        for scalar in text.unicodeScalars {
            if isHidden(scalar) {
                visible += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            } else {
                visible.unicodeScalars.append(scalar)
            }
        }
        return visible
    }

    /// Characters that are not visible or that change the order of others: controls, separators, zero-width
    /// characters, direction overrides, tags and non-characters.
    static let hidden: [ClosedRange<UInt32>] = [
        0x00...0x1F, 0x7F...0x9F, 0xAD...0xAD, 0x61C...0x61C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x2064,
        0x2066...0x206F, 0xFEFF...0xFEFF, 0xFFF9...0xFFFF, 0xE0000...0xE007F,
    ]

    private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        // Nearly all text is in the gap between the first ranges.
        if (0x20..<0x7F).contains(scalar.value) { return false }
        return hidden.contains { $0.contains(scalar.value) }
    }

    /// A JavaScript module with the same table, for `Files/text.js`.
    static var invisibleModule: String {
        let ranges = hidden.map { range in
            [range.lowerBound, range.upperBound].map { "\\u{\(String($0, radix: 16, uppercase: true))}" }
                .joined(separator: "-")
        }
        return "export const invisible = /[\(ranges.joined())]/gu;\n"
    }

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

    static func percent(_ value: (some BinaryInteger)?) -> String {
        value.map { "\($0)\u{202F}%" } ?? "–"
    }

    /// How long something that runs may not report before pages show that, in microseconds.
    static let silentAfter: Int64 = 60_000_000
    /// How long it may not report before pages emphasise that, in microseconds.
    static let silentForLongAfter: Int64 = 300_000_000

    /// An age. It has no seconds above one minute.
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

    static func time(_ moment: Timestamp?, withDay: Bool = false) -> HTML {
        guard let moment else { return "–" }
        let exact = RFC3339.text(moment)
        return "<time datetime=\"\(exact)\" title=\"\(exact)\">\(withDay ? dayAndClock(moment) : clock(moment))</time>"
    }

    /// An execution of a task, in words.
    static func run(_ execution: ExecutionIdentity) -> String {
        execution.execution.map { "attempt \(execution.attempt), \(visible($0.text))" }
            ?? "attempt \(execution.attempt)"
    }

    /// A report: units done and units declared.
    static func change(done: Int128, total: Int128) -> String {
        var parts: [String] = []
        if done > 0 { parts.append("+\(number(done)) done") }
        if total > 0 { parts.append("+\(number(total)) total") }
        return parts.isEmpty ? "+0" : parts.joined(separator: ", ")
    }

    /// Why a number fell.
    static func cause(_ cause: Curve.Cause) -> String {
        var lost: [String] = []
        if cause.lost.done > 0 { lost.append("−\(number(cause.lost.done)) done") }
        if cause.lost.total > 0 { lost.append("−\(number(cause.lost.total)) total") }
        return "\(lost.joined(separator: ", ")): \(visible(cause.task.text)) restarted, \(run(cause.execution))"
    }
}
