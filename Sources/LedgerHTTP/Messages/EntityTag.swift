/// An entity tag (RFC 9110, section 8.8.3), weak or strong: `W/"1"` or `"1"`.
struct EntityTag {
    let text: String

    init(_ text: String) {
        self.text = text
    }

    /// Whether `If-None-Match` names this tag, by weak comparison, or any tag.
    ///
    /// Source: RFC 9110, sections 8.8.3.2 and 13.1.2.
    ///
    /// - Parameter fields: The values of the header.
    func matches(_ fields: [String]) -> Bool {
        // Most requests name one tag, and it is this one.
        if fields.count == 1, fields[0].utf8.elementsEqual(text.utf8) { return true }
        let opaque = Self.opaque(text.utf8[...])
        return fields.contains { field in
            field.utf8.split(separator: UInt8(ascii: ",")).contains { part in
                let tag = Self.trimmed(part)
                return tag.elementsEqual("*".utf8) || Self.opaque(tag).elementsEqual(opaque)
            }
        }
    }

    private static func opaque(_ tag: Substring.UTF8View) -> Substring.UTF8View {
        tag.starts(with: "W/".utf8) ? tag.dropFirst(2) : tag
    }

    private static func trimmed(_ part: Substring.UTF8View) -> Substring.UTF8View {
        let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        var part = part.drop(while: isSpace)
        while let last = part.last, isSpace(last) { part = part.dropLast() }
        return part
    }
}
