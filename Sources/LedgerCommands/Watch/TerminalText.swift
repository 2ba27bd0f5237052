/// The size and the capabilities of a terminal.
struct TerminalStyle: Hashable, Sendable {
    /// The number of cells in a line.
    var width = 80
    /// The number of lines.
    var height = 24
    var hasColor = true
    /// Whether the terminal shows characters beyond ASCII.
    var hasUnicode = true
}

/// Functions that measure and fit text in terminal cells.
enum TerminalText {
    /// The number of cells of a character.
    ///
    /// Wide letters of East Asia and emoji take two, marks and joiners none. A sequence that is shown as one emoji
    /// (skin tones, families, flags, U+FE0F) takes two. Other characters of several scalars take the sum of their
    /// scalars.
    static func cells(_ character: Character) -> Int {
        let scalars = character.unicodeScalars
        guard let first = scalars.first else { return 0 }
        guard scalars.count > 1 else { return cells(first) }
        let isEmoji =
            first.properties.isEmoji
            && scalars.dropFirst().contains { scalar in
                scalar.value == 0xFE0F || scalar.value == 0x200D || scalar.properties.isEmojiModifier
                    || (0x1F1E6...0x1F1FF).contains(scalar.value)
            }
        return isEmoji ? 2 : scalars.reduce(0) { $0 + cells($1) }
    }

    static func cells(_ text: String) -> Int { text.reduce(0) { $0 + cells($1) } }

    private static func cells(_ scalar: Unicode.Scalar) -> Int {
        if scalar.value < 0x300 { return 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        switch scalar.value {
        // Vowels and final consonants of Hangul, which join the first consonant.
        case 0x1160...0x11FF, 0xD7B0...0xD7FF: return 0
        // Unicode's EastAsianWidth: wide and fullwidth. The emoji in these ranges have emoji presentation by default.
        case 0x1100...0x115F, 0x2329...0x232A, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3,
            0xF900...0xFAFF, 0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x18DFF,
            0x1AFF0...0x1B2FF, 0x1F200...0x1F265, 0x20000...0x3FFFD:
            return 2
        default: return scalar.properties.isEmojiPresentation ? 2 : 1
        }
    }

    /// The text cut to a width, with a mark at the end if it was cut.
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

    /// The text cut or padded to exactly the given width.
    static func pad(_ text: String, to width: Int, right: Bool = false, _ style: TerminalStyle) -> String {
        let text = cut(text, to: width, style)
        let space = String(repeating: " ", count: max(0, width - cells(text)))
        return right ? space + text : text + space
    }

    /// The text in ASCII, with every other scalar written as `\u{…}`.
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
