internal import Ledger
internal import LedgerWire

/// How values are written for people. `Files/text.js` writes the same.
enum PageText {
    /// Text with all that is not to be seen, or would show the rest in another order, written as `\u{…}`.
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

    private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F: true  // C0, DEL, C1
        case 0x200B, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF: true  // no width, separators, no characters
        case 0x202A...0x202E, 0x2066...0x2069: true  // direction overrides, embeddings and isolates
        case 0xE0000...0xE007F: true  // tags: invisible text
        default: false
        }
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

    /// A length of time in its two largest units, rounded down.
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

    /// A run of a task, in words.
    static func run(_ execution: ExecutionIdentity) -> String {
        execution.execution.map { "attempt \(execution.attempt), \(visible($0.text))" }
            ?? "attempt \(execution.attempt)"
    }

    /// What was reported: units done and units declared.
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
