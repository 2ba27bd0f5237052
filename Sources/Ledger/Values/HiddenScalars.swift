/// The Unicode scalars that are escaped in text for people.
///
/// They are invisible, end a line, or change the order of the characters after them. This table serves everything that
/// displays a caller's text: pages, badges, terminals, and the scripts of the pages, for which a module is generated
/// from it.
public enum HiddenScalars {
    /// Whether a scalar is hidden.
    ///
    /// Letters of any script, emoji and combining marks are not. U+200C and U+200D are not either: Persian and emoji
    /// need them.
    public static func contains(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x00...0x1F, 0x7F...0x9F: true  // C0, DEL, C1
        case 0xAD, 0x200B, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF: true  // soft hyphen, no width, no characters
        case 0x061C, 0x200E, 0x200F: true  // direction marks
        case 0x2028, 0x2029: true  // line and paragraph separators
        case 0x202A...0x202E, 0x2066...0x2069: true  // direction overrides, embeddings and isolates
        case 0xE0000...0xE007F: true  // tags: invisible text
        default: false
        }
    }

    /// The text with each hidden scalar written as `\u{…}`.
    public static func escape(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: contains) else { return text }
        var visible = ""
        for scalar in text.unicodeScalars {
            if contains(scalar) {
                visible += "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
            } else {
                visible.unicodeScalars.append(scalar)
            }
        }
        return visible
    }
}
