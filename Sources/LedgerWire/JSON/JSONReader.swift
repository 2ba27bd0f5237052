/// A strict JSON parser (RFC 8259): UTF-8 only, no byte order mark, little nesting.
///
/// It makes one pass, with recursion no deeper than ``depthMax``. Memory is proportional to the values that it keeps:
/// at most ``valuesMax`` at a time. It stops with an error when its task is cancelled.
public struct JSONReader {
    /// The maximum nesting depth.
    ///
    /// More than any request or response needs, and small enough for any stack.
    static let depthMax = 16
    /// The number of values between two checks for cancellation.
    private static let valuesBetweenChecks = 4_096

    private let bytes: ArraySlice<UInt8>
    private var position: Int
    private let valuesMax: Int
    private var valuesKept = 0
    private var valuesRead = 0

    /// Creates a parser at the beginning of these bytes.
    ///
    /// - Parameter valuesMax: The maximum number of elements and fields of one value to keep, at all depths together.
    ///   Further ones are validated and dropped, so a hostile body costs time in proportion to its length and little
    ///   memory.
    public init(_ bytes: ArraySlice<UInt8>, valuesMax: Int = .max) {
        self.bytes = bytes
        self.valuesMax = valuesMax
        position = bytes.startIndex
    }

    /// Parses bytes that consist of exactly one value.
    public static func read(_ bytes: [UInt8]) throws(JSONError) -> JSONValue {
        var reader = JSONReader(bytes[...])
        return try reader.readWhole()
    }

    /// Reads one value and requires that only white space follows.
    mutating func readWhole() throws(JSONError) -> JSONValue {
        let value = try readValue()
        try expectEnd()
        return value
    }

    /// Whether this byte comes next, after white space.
    public mutating func isNext(_ byte: UInt8) -> Bool {
        skipSpace()
        return position < bytes.endIndex && bytes[position] == byte
    }

    /// Reads an array element by element: the closure reads one element per call.
    ///
    /// Only one element is in memory at a time.
    mutating func readElements(_ body: (inout JSONReader) throws(JSONError) -> Void) throws(JSONError) {
        try expect(UInt8(ascii: "["))
        if isNext(UInt8(ascii: "]")) {
            position += 1
            return
        }
        while true {
            try body(&self)
            skipSpace()
            guard position < bytes.endIndex else { throw error("ends within an array") }
            defer { position += 1 }
            if bytes[position] == UInt8(ascii: "]") { return }
            guard bytes[position] == UInt8(ascii: ",") else { throw error("expected , or ]") }
        }
    }

    /// Reads an element of an array, which gets the whole limit on values for itself.
    mutating func readElement() throws(JSONError) -> JSONValue {
        valuesKept = 0
        return try readValue(depth: 1)
    }

    /// Reads the next event if the fast parser accepts it; otherwise does not advance.
    mutating func readPlainEvent(namesJob: Bool) -> EventRequest.Entry? {
        let start = position - bytes.startIndex
        return bytes.withUnsafeBufferPointer { buffer in
            var plain = PlainEventReader(buffer, at: start, namesJob: namesJob, endsAtLine: false)
            guard let event = plain.read() else { return nil }
            position = bytes.startIndex + plain.position
            return event
        }
    }

    /// Requires that only white space follows.
    public mutating func expectEnd() throws(JSONError) {
        skipSpace()
        guard position == bytes.endIndex else { throw error("expected the end of the text") }
    }

    public mutating func readValue() throws(JSONError) -> JSONValue {
        valuesKept = 0
        return try readValue(depth: 0)
    }

    /// Counts a nested value; false if the limit on values is reached.
    private mutating func countNestedValue() throws(JSONError) -> Bool {
        valuesRead &+= 1
        if valuesRead.isMultiple(of: Self.valuesBetweenChecks), Task.isCancelled {
            throw error("reading was cancelled")
        }
        guard valuesKept < valuesMax else { return false }
        valuesKept += 1
        return true
    }

    private mutating func readValue(depth: Int) throws(JSONError) -> JSONValue {
        skipSpace()
        guard position < bytes.endIndex else { throw error("ends where a value was expected") }
        guard depth < Self.depthMax else { throw error("is nested deeper than \(Self.depthMax) levels") }
        switch bytes[position] {
        case UInt8(ascii: "\""): return try readString().map { .string($0) } ?? .brokenString
        case UInt8(ascii: "{"): return .object(try readObject(depth))
        case UInt8(ascii: "["): return .array(try readArray(depth))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try readNumber()
        case UInt8(ascii: "t"): return try readWord("true", .bool(true))
        case UInt8(ascii: "f"): return try readWord("false", .bool(false))
        case UInt8(ascii: "n"): return try readWord("null", .null)
        default: throw error("expected a value")
        }
    }

    private mutating func readObject(_ depth: Int) throws(JSONError) -> [JSONField] {
        position += 1
        var fields: [JSONField] = []
        if isNext(UInt8(ascii: "}")) {
            position += 1
            return fields
        }
        while true {
            skipSpace()
            guard position < bytes.endIndex, bytes[position] == UInt8(ascii: "\"") else {
                throw error("expected the name of a field")
            }
            guard let name = try readString() else { throw error("the name of a field is not Unicode text") }
            try expect(UInt8(ascii: ":"))
            let isKept = try countNestedValue()
            let value = try readValue(depth: depth + 1)
            if isKept { fields.append(JSONField(name: name, value: value)) }
            skipSpace()
            guard position < bytes.endIndex else { throw error("ends within an object") }
            defer { position += 1 }
            if bytes[position] == UInt8(ascii: "}") { return fields }
            guard bytes[position] == UInt8(ascii: ",") else { throw error("expected , or }") }
        }
    }

    private mutating func readArray(_ depth: Int) throws(JSONError) -> [JSONValue] {
        position += 1
        var elements: [JSONValue] = []
        if isNext(UInt8(ascii: "]")) {
            position += 1
            return elements
        }
        while true {
            let isKept = try countNestedValue()
            let value = try readValue(depth: depth + 1)
            if isKept { elements.append(value) }
            skipSpace()
            guard position < bytes.endIndex else { throw error("ends within an array") }
            defer { position += 1 }
            if bytes[position] == UInt8(ascii: "]") { return elements }
            guard bytes[position] == UInt8(ascii: ",") else { throw error("expected , or ]") }
        }
    }

    private mutating func readWord(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let end = position + word.utf8CodeUnitCount
        guard end <= bytes.endIndex, word.withUTF8Buffer({ bytes[position..<end].elementsEqual($0) }) else {
            throw error("expected \(word)")
        }
        position = end
        return value
    }

    private mutating func skipSpace() {
        while position < bytes.endIndex {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    private mutating func expect(_ byte: UInt8) throws(JSONError) {
        guard isNext(byte) else { throw error("expected \(Unicode.Scalar(byte))") }
        position += 1
    }

    private func error(_ reason: String) -> JSONError {
        JSONError(offset: position - bytes.startIndex, reason: reason)
    }

    // MARK: Numbers

    private mutating func readNumber() throws(JSONError) -> JSONValue {
        let start = position
        let isNegative = bytes[position] == UInt8(ascii: "-")
        if isNegative { position += 1 }
        let firstDigit = position
        let digits = skipDigits()
        guard digits > 0 else { throw error("expected a digit") }
        guard digits == 1 || bytes[firstDigit] != UInt8(ascii: "0") else {
            throw JSONError(offset: firstDigit - bytes.startIndex, reason: "a number must not begin with 0")
        }
        var isPlain = true
        if position < bytes.endIndex, bytes[position] == UInt8(ascii: ".") {
            isPlain = false
            position += 1
            guard skipDigits() > 0 else { throw error("expected a digit") }
        }
        if position < bytes.endIndex, bytes[position] | 0x20 == UInt8(ascii: "e") {
            isPlain = false
            position += 1
            if position < bytes.endIndex, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
                position += 1
            }
            guard skipDigits() > 0 else { throw error("expected a digit") }
        }
        guard isPlain else { return Self.number(bytes[start..<position]) }
        // Numbers of 38 digits fit in 128 bits; no valid value is longer.
        guard digits <= 38 else { return Self.rounded(bytes[start..<position]) }
        var value: Int128 = 0
        for byte in bytes[firstDigit..<position] { value = value * 10 + Int128(byte - UInt8(ascii: "0")) }
        return .integer(isNegative ? -value : value)
    }

    /// Converts a number with a fraction or an exponent, exactly.
    ///
    /// `1.0`, `1e3` and `120e-1` are integers; `1e-400` is not.
    private static func number(_ text: ArraySlice<UInt8>) -> JSONValue {
        let exponentStart = text.firstIndex { $0 | 0x20 == UInt8(ascii: "e") } ?? text.endIndex
        let exponent = exponent(text[exponentStart...].dropFirst())
        var digits = text[..<exponentStart].filter { $0 != UInt8(ascii: "-") }
        var scale = 0
        if let point = digits.firstIndex(of: UInt8(ascii: ".")) {
            digits.remove(at: point)
            scale = digits.count - point
        }
        var significant = digits.drop { $0 == UInt8(ascii: "0") }
        guard !significant.isEmpty else { return .integer(0) }
        while significant.last == UInt8(ascii: "0") {
            significant.removeLast()
            scale -= 1
        }
        // The remaining digits do not end with 0, so a negative power of ten makes the number a fraction.
        let power = exponent - scale
        guard power >= 0, power <= 38, significant.count + power <= 38 else { return rounded(text) }
        var value: Int128 = 0
        for digit in significant { value = value * 10 + Int128(digit - UInt8(ascii: "0")) }
        for _ in 0..<power { value *= 10 }
        return .integer(text.first == UInt8(ascii: "-") ? -value : value)
    }

    private static func rounded(_ text: ArraySlice<UInt8>) -> JSONValue {
        .number(Double(String(decoding: text, as: UTF8.self)) ?? .infinity)
    }

    /// Parses an exponent; values beyond a billion are clamped to a billion.
    ///
    /// No body is long enough to compensate for such an exponent.
    private static func exponent(_ text: ArraySlice<UInt8>) -> Int {
        var value = 0
        for byte in text where byte != UInt8(ascii: "-") && byte != UInt8(ascii: "+") {
            value = min(1_000_000_000, value * 10 + Int(byte - UInt8(ascii: "0")))
        }
        return text.first == UInt8(ascii: "-") ? -value : value
    }

    private mutating func skipDigits() -> Int {
        let start = position
        while position < bytes.endIndex, bytes[position] >= UInt8(ascii: "0"), bytes[position] <= UInt8(ascii: "9") {
            position += 1
        }
        return position - start
    }

    // MARK: Strings

    /// Reads a string; nil if it contains a lone surrogate.
    private mutating func readString() throws(JSONError) -> String? {
        position += 1
        let start = position
        while position < bytes.endIndex {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                defer { position += 1 }
                return try text(bytes[start..<position], at: start)
            case UInt8(ascii: "\\"):
                return try readEscapedString(from: start)
            case 0..<0x20:
                throw error("a control character within a string must be escaped")
            default:
                position += 1
            }
        }
        throw error("ends within a string")
    }

    /// Decodes the bytes of a string.
    ///
    /// - Parameter start: The position at which the string began, for errors.
    private func text(_ slice: ArraySlice<UInt8>, at start: Int) throws(JSONError) -> String {
        guard let text = slice.withUnsafeBufferPointer({ String(utf8: $0) }) else {
            throw JSONError(offset: start - bytes.startIndex, reason: "a string is not UTF-8")
        }
        return text
    }

    private mutating func readEscapedString(from start: Int) throws(JSONError) -> String? {
        var unescaped = Array(bytes[start..<position])
        var isBroken = false
        while position < bytes.endIndex {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                let text = try text(unescaped[...], at: start)
                return isBroken ? nil : text
            case UInt8(ascii: "\\"):
                position += 1
                if !(try readEscape(into: &unescaped)) { isBroken = true }
            case 0..<0x20:
                throw error("a control character within a string must be escaped")
            default:
                unescaped.append(byte)
                position += 1
            }
        }
        throw error("ends within a string")
    }

    /// Reads the rest of an escape after its backslash; false for a lone surrogate.
    private mutating func readEscape(into unescaped: inout [UInt8]) throws(JSONError) -> Bool {
        guard position < bytes.endIndex else { throw error("ends within a string") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(byte)
        case UInt8(ascii: "b"): unescaped.append(0x08)
        case UInt8(ascii: "f"): unescaped.append(0x0C)
        case UInt8(ascii: "n"): unescaped.append(0x0A)
        case UInt8(ascii: "r"): unescaped.append(0x0D)
        case UInt8(ascii: "t"): unescaped.append(0x09)
        case UInt8(ascii: "u"): return try readUnicodeEscape(into: &unescaped)
        default: throw error("an unknown escape within a string")
        }
        return true
    }

    private mutating func readUnicodeEscape(into unescaped: inout [UInt8]) throws(JSONError) -> Bool {
        let first = try readHexadecimal()
        if let scalar = Unicode.Scalar(first) {
            unescaped.append(contentsOf: String(Character(scalar)).utf8)
            return true
        }
        guard first < 0xDC00, position + 1 < bytes.endIndex, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { return false }
        let before = position
        position += 2
        let second = try readHexadecimal()
        guard (0xDC00...0xDFFF).contains(second) else {
            // The second escape is not part of a surrogate pair.
            position = before
            return false
        }
        guard let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)) else { return false }
        unescaped.append(contentsOf: String(Character(scalar)).utf8)
        return true
    }

    private mutating func readHexadecimal() throws(JSONError) -> UInt32 {
        guard position + 4 <= bytes.endIndex else { throw error("ends within an escape") }
        var value: UInt32 = 0
        for _ in 0..<4 {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - UInt8(ascii: "A") + 10)
            default: throw error("expected a hexadecimal digit")
            }
            position += 1
        }
        return value
    }
}
