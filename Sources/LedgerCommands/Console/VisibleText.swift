import Ledger

/// Text that came from callers, made fit for a terminal.
///
/// Names hold any text: an escape sequence in one could repaint, retitle or reprogram the terminal of whoever lists
/// jobs, a line break could forge a line, and a direction override could show a name backwards. Letters of any
/// script, emoji and combining marks pass as they are.
enum VisibleText {
    /// The text with everything that is not to be seen written as `\u{…}`.
    static func escape(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: HiddenScalars.contains) else { return text }
        var visible = ""
        for scalar in text.unicodeScalars {
            if HiddenScalars.contains(scalar) {
                visible += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            } else {
                visible.unicodeScalars.append(scalar)
            }
        }
        return visible
    }
}

extension VisibleText {
    /// The same for text of several lines of our own, or of PostgreSQL's, which stay lines and keep their tabs.
    static func escapeLines(_ text: String) -> String {
        text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map { line in
            line.split(separator: "\t", omittingEmptySubsequences: false).map { escape(String($0)) }
                .joined(separator: "\t")
        }.joined(separator: "\n")
    }
}

extension VisibleText {
    /// A JSON document in which strings contain the same characters as `\uXXXX`: the same values, fit for a terminal.
    static func escapeJSON(_ json: String) -> String {
        // Most documents have none. Control characters below U+0020 stand between values only, and are white space there.
        func mustEscape(_ scalar: Unicode.Scalar) -> Bool { scalar.value > 0x1F && HiddenScalars.contains(scalar) }
        guard json.unicodeScalars.contains(where: mustEscape) else { return json }
        var escaped = ""
        for scalar in json.unicodeScalars {
            guard mustEscape(scalar) else {
                escaped.unicodeScalars.append(scalar)
                continue
            }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                escaped += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            }
        }
        return escaped
    }
}
