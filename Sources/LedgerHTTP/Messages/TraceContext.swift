/// The position of a request in a distributed trace: the header `traceparent`.
///
/// The source is https://www.w3.org/TR/trace-context/, section 3.2.
struct TraceContext: Hashable, Sendable {
    /// The id of the whole trace: 32 hexadecimal digits.
    let traceID: String
    /// The id of the caller's span: 16 hexadecimal digits.
    let spanID: String

    private static let separator = UInt8(ascii: "-")
    /// The length of version 00, with which all later versions begin.
    private static let length = 55

    /// Parses the value of the header; nil if it is invalid.
    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count >= Self.length, bytes[2] == Self.separator, bytes[35] == Self.separator,
            bytes[52] == Self.separator, bytes.count == Self.length || bytes[Self.length] == Self.separator
        else { return nil }
        let (version, trace, span, flags) = (bytes[0..<2], bytes[3..<35], bytes[36..<52], bytes[53..<55])
        guard [version, trace, span, flags].allSatisfy({ $0.allSatisfy(Self.isDigit) }) else { return nil }
        // Version ff and ids of zeros are invalid. Version 00 has nothing after the flags.
        let zero = UInt8(ascii: "0")
        guard version != [UInt8(ascii: "f"), UInt8(ascii: "f")], !trace.allSatisfy({ $0 == zero }),
            !span.allSatisfy({ $0 == zero }), bytes.count == Self.length || version != [zero, zero]
        else { return nil }
        traceID = String(decoding: trace, as: UTF8.self)
        spanID = String(decoding: span, as: UTF8.self)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
