internal import Ledger

/// A piece of a page. What is interpolated into it is text and escaped, unless it is a piece itself: so nothing that a
/// caller has sent can become markup, and nobody has to think of it.
struct HTML: Sendable, ExpressibleByStringInterpolation {
    private(set) var text: String

    init(stringLiteral text: String) {
        self.text = text
    }

    init(stringInterpolation: StringInterpolation) {
        text = stringInterpolation.text
    }

    /// Pieces one after the other.
    init(_ pieces: some Sequence<HTML>) {
        text = ""
        for piece in pieces { text += piece.text }
    }

    /// A file of ours, which is markup already.
    init(trusted text: String) {
        self.text = text
    }

    static func += (left: inout HTML, right: HTML) {
        left.text += right.text
    }

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + 16 * interpolationCount)
        }

        mutating func appendLiteral(_ literal: String) {
            text += literal
        }

        mutating func appendInterpolation(_ piece: HTML) {
            text += piece.text
        }

        mutating func appendInterpolation(_ piece: HTML?) {
            if let piece { text += piece.text }
        }

        mutating func appendInterpolation(_ pieces: some Sequence<HTML>) {
            for piece in pieces { text += piece.text }
        }

        mutating func appendInterpolation(_ value: some BinaryInteger) {
            text += String(value)
        }

        mutating func appendInterpolation(_ value: String) {
            text += HTML.escape(value)
        }

        /// As it stands in an attribute, exactly.
        mutating func appendInterpolation(_ name: Name) {
            text += HTML.escape(name.text)
        }
    }

    /// The text with everything that means something in markup written so that it does not, in elements and attributes.
    static func escape(_ text: String) -> String {
        var escaped: [UInt8] = []
        escaped.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "&"): escaped += "&amp;".utf8
            case UInt8(ascii: "<"): escaped += "&lt;".utf8
            case UInt8(ascii: ">"): escaped += "&gt;".utf8
            case UInt8(ascii: "\""): escaped += "&quot;".utf8
            case UInt8(ascii: "'"): escaped += "&#39;".utf8
            // A parser of HTML makes a line feed of it where it stands as such.
            case 0x0D: escaped += "&#13;".utf8
            default: escaped.append(byte)
            }
        }
        return String(decoding: escaped, as: UTF8.self)
    }

    /// A name for people: in a box of its own for the direction of its letters, and with everything that cannot be seen
    /// written as `\u{…}`.
    static func name(_ name: Name) -> HTML {
        "<bdi>\(PageText.visible(name.text))</bdi>"
    }

    /// The label of an indicator.
    static func label(_ label: Name?) -> HTML {
        label.map { name($0) } ?? "<i>default</i>"
    }
}
