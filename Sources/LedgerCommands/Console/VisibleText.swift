import Ledger

/// Escapes callers' text for output on a terminal.
///
/// Names may contain any text. An escape sequence in a name could redraw, retitle or reprogram the terminal of a user
/// who lists jobs, a line break could forge a line, and a direction override could show a name backwards. Letters of
/// any script, emoji and combining marks pass unchanged.
enum VisibleText {
    /// The text with every hidden character written as `\u{…}`.
    static func escape(_ text: String) -> String { HiddenScalars.escape(text) }
}

extension VisibleText {
    /// Escapes text of several lines; line breaks and tabs stay.
    ///
    /// Used for messages of this program and of PostgreSQL.
    static func escapeLines(_ text: String) -> String {
        text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map { line in
            line.split(separator: "\t", omittingEmptySubsequences: false).map { escape(String($0)) }
                .joined(separator: "\t")
        }.joined(separator: "\n")
    }
}

extension VisibleText {
    /// Escapes hidden characters in a JSON document as `\uXXXX`.
    ///
    /// The values of the document do not change.
    static func escapeJSON(_ json: String) -> String {
        // Most documents need no escaping. Control characters below U+0020 occur only between values, as white space.
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
