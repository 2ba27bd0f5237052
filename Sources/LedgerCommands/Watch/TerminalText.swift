/// What a terminal can show.
struct TerminalStyle: Hashable, Sendable {
    /// Cells in a line.
    var width = 80
    /// Lines.
    var height = 24
    var hasColor = true
    /// Whether it shows more than ASCII.
    var hasUnicode = true
}

/// Text in cells of a terminal.
enum TerminalText {
    /// How many cells a character takes: two for the wide ones of East Asia and emoji, none for what adds to another.
    static func cells(_ character: Character) -> Int {
        var cells = 0
        for scalar in character.unicodeScalars { cells = max(cells, Self.cells(scalar)) }
        return cells
    }

    static func cells(_ text: String) -> Int { text.reduce(0) { $0 + cells($1) } }

    private static func cells(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF,
            0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F6FF,
            0x1F900...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }

    /// The text cut to so many cells, which a mark shows.
    static func cut(_ text: String, to width: Int, _ style: TerminalStyle) -> String {
        guard cells(text) > width else { return text }
        let mark = style.hasUnicode ? "…" : "~"
        guard width > 1 else { return String(repeating: mark, count: max(0, width)) }
        var cut = ""
        var used = 0
        for character in text {
            let more = cells(character)
            if used + more > width - 1 { break }
            cut.append(character)
            used += more
        }
        return cut + mark
    }

    /// The text in exactly so many cells.
    static func pad(_ text: String, to width: Int, right: Bool = false, _ style: TerminalStyle) -> String {
        let text = cut(text, to: width, style)
        let space = String(repeating: " ", count: max(0, width - cells(text)))
        return right ? space + text : text + space
    }

    /// Text in ASCII, with everything else written as `\u{…}`.
    static func ascii(_ text: String) -> String {
        var ascii = ""
        for scalar in text.unicodeScalars {
            if scalar.isASCII {
                ascii.unicodeScalars.append(scalar)
            } else {
                ascii += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            }
        }
        return ascii
    }
}
