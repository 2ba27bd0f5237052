internal import Ledger

/// A piece of a page.
///
/// Interpolated values are escaped unless they are pieces themselves. Therefore no text of a caller can become markup.
struct HTML: Sendable, ExpressibleByStringInterpolation {
    private(set) var text: String

    init(stringLiteral text: String) {
        self.text = text
    }

    init(stringInterpolation: StringInterpolation) {
        text = stringInterpolation.text
    }

    /// Concatenates pieces.
    init(_ pieces: some Sequence<HTML>) {
        text = ""
        for piece in pieces { text += piece.text }
    }

    /// Takes a trusted text that is markup already, such as an embedded file.
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

        mutating func appendInterpolation(_ sequence: EventSequence) {
            text += sequence.description
        }

        mutating func appendInterpolation(_ value: String) {
            text += HTML.escape(value)
        }

        /// The exact name, for an attribute.
        mutating func appendInterpolation(_ name: Name) {
            text += HTML.escape(name.text)
        }
    }

    /// Escapes a text for elements and attributes.
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
            // An HTML parser would turn a plain carriage return into a line feed.
            case 0x0D: escaped += "&#13;".utf8
            default: escaped.append(byte)
            }
        }
        return String(decoding: escaped, as: UTF8.self)
    }

    /// A name for people, with invisible characters escaped.
    ///
    /// It is isolated from the text around it, because its writing direction may differ.
    static func name(_ name: Name) -> HTML {
        "<bdi>\(PageText.visible(name.text))</bdi>"
    }

    /// The label of an indicator.
    static func label(_ label: Name?) -> HTML {
        label.map { name($0) } ?? "<i>default</i>"
    }
}
